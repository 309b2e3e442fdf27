"""The main job with a fake base: what is computed, what is reused, and what happens when it is cut off."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw, write_photos

from featstore import extraction, fetching
from featstore.errors import StoreError
from featstore.features import gather
from featstore.images.digests import DigestMemory
from featstore.images.manifest import Manifest, scan
from featstore.images.reading import Reading
from featstore.shelf import Task
from featstore.store.rowstore import RowStore

LATER = 10**19


class Base:
    """Mean colour of an image, times `factor`; counts what it sees, and fails when it is told to."""

    def __init__(self, factor: float = 1.0, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.factor, self.fail_at, self.error = factor, fail_at, error
        self.batches: list[int] = []

    @property
    def seen(self) -> int:
        return sum(self.batches)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.fail_at is not None and len(self.batches) == self.fail_at:
            raise self.error or KeyboardInterrupt
        self.batches.append(len(images))
        return images.astype(np.float32).mean(axis=(1, 2)) * self.factor


def store(cache: Path, name: str = "key") -> RowStore:
    return RowStore(cache / name, name, "{}", dict)


def extract(data: Path | Manifest, cache: Path, *tasks: Task, **options: Any) -> extraction.Outcome:
    manifest = data if isinstance(data, Manifest) else scan(data)
    memory = DigestMemory(cache / "digests", clock=lambda: LATER)
    return extraction.run(manifest, tasks, options.pop("reader", Reading(16, 16).reader), memory, **options)


def test_a_second_run_computes_and_reads_nothing(photos: Path, tmp_path: Path) -> None:
    """Neither the base nor a reader is called, and no file is opened."""
    base = Base()
    first = extract(photos, tmp_path, Task(store(tmp_path), base))
    assert (first.computed, base.seen) == ((24,), 24)

    def untouched(*arguments: object) -> Any:
        raise AssertionError("nothing was to be done")

    again = extract(photos, tmp_path, Task(store(tmp_path), untouched), reader=untouched)
    assert again.computed == (0,)
    assert [p.digest for p in again.manifest.pictures] == [p.digest for p in first.manifest.pictures]


def test_only_new_images_cost(photos: Path, tmp_path: Path) -> None:
    """Moved, renamed and relabelled images cost nothing, ten new ones cost ten."""
    extract(photos, tmp_path, Task(store(tmp_path), Base()))
    photos.rename(tmp_path / "moved")
    (tmp_path / "moved" / "discs" / "000.png").rename(tmp_path / "moved" / "stripes" / "relabelled.png")
    write_photos(tmp_path / "moved", 5, first=100)
    base = Base()
    assert extract(tmp_path / "moved", tmp_path, Task(store(tmp_path), base)).computed == (10,)
    assert base.seen == 10


def test_changed_bytes_under_the_same_name_are_computed(photos: Path, tmp_path: Path) -> None:
    """A row belongs to the content, not to the path."""
    extract(photos, tmp_path, Task(store(tmp_path), Base()))
    draw("discs", 77).save(photos / "discs" / "000.png")
    assert extract(photos, tmp_path, Task(store(tmp_path), Base())).computed == (1,)


def test_copies_are_computed_once(photos: Path, tmp_path: Path) -> None:
    """Two files with the same bytes share a row, and both are in the manifest."""
    (photos / "stripes" / "copy.png").write_bytes((photos / "discs" / "000.png").read_bytes())
    outcome = extract(photos, tmp_path, Task(store(tmp_path), Base()))
    assert (outcome.computed, len(outcome.manifest)) == ((24,), 25)


def test_several_tasks_decode_each_image_once(photos: Path, tmp_path: Path) -> None:
    """Two kinds of features, one of them half done, and one reading of each file that is needed."""
    half = scan(photos)
    extract(replace(half, pictures=half.pictures[:12]), tmp_path, Task(store(tmp_path, "a"), Base()))
    reads: list[int] = []

    def counting() -> Any:
        read = Reading(16, 16).reader()
        return lambda raw: (reads.append(1), read(raw))[1]

    a, b = Base(), Base(2.0)
    tasks = Task(store(tmp_path, "a"), a), Task(store(tmp_path, "b"), b)
    assert extract(photos, tmp_path, *tasks, reader=counting).computed == (12, 24)
    assert len(reads) == 24
    manifest = extract(photos, tmp_path, *tasks).manifest
    features = [gather(manifest.pictures, store(tmp_path, name)).X for name in "ab"]
    assert features[0] * 2 == pytest.approx(features[1], rel=2e-3)


def test_features_come_in_the_order_of_the_manifest(photos: Path, tmp_path: Path) -> None:
    """Each row is that of its own image, whatever order it was made in, with labels and digests beside it."""
    manifest = extract(photos, tmp_path, Task(store(tmp_path), Base()), threads=3).manifest
    backwards = tuple(reversed(manifest.pictures))
    X, y, ids = gather(backwards, store(tmp_path))
    for row, label, digest, picture in zip(X, y, ids, backwards, strict=True):
        expected = Reading(16, 16).reader()(Path(picture.path).read_bytes()).mean(axis=(0, 1))
        assert row == pytest.approx(expected, rel=1e-3)
        assert (label, digest) == (picture.label, picture.digest)


def test_unreadable_files_are_listed_and_never_replaced(photos: Path, tmp_path: Path) -> None:
    """Broken, empty, vanished and oversized files are skipped with the reason; the others have their rows."""
    (photos / "discs" / "broken.png").write_bytes((photos / "discs" / "000.png").read_bytes()[:200])
    (photos / "discs" / "empty.png").write_bytes(b"")
    (photos / "discs" / "gone.png").write_bytes(b"x")
    with (photos / "discs" / "large.png").open("wb") as file:
        file.truncate(fetching.MAX_BYTES + 1)
    manifest = scan(photos)
    (photos / "discs" / "gone.png").unlink()
    outcome = extract(manifest, tmp_path, Task(store(tmp_path), Base()))
    reasons = {Path(s.path).name: s.reason for s in outcome.manifest.skipped}
    assert sorted(reasons) == ["broken.png", "empty.png", "gone.png", "large.png"]
    assert "limit is 64 MB" in reasons["large.png"]
    assert "No such file" in reasons["gone.png"]
    assert len(outcome.manifest) == 24


def test_rows_that_are_not_finite_are_skipped_with_the_reason(photos: Path, tmp_path: Path) -> None:
    """A base that makes NaN of an image gives no row for it."""

    def spoilt(images: np.ndarray) -> np.ndarray:
        out = images.astype(np.float32).mean(axis=(1, 2))
        out[0] = np.nan
        return out

    outcome = extract(photos, tmp_path, Task(store(tmp_path), spoilt))
    assert ["finite" in s.reason for s in outcome.manifest.skipped] == [True]
    assert len(store(tmp_path)) == len(outcome.manifest) == 23


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory"), SystemExit()])
def test_an_interruption_keeps_finished_batches(tmp_path: Path, error: BaseException) -> None:
    """What the base made before is stored, and the next run computes the rest."""
    data = write_photos(tmp_path / "photos", 50)
    with pytest.raises(type(error)):
        extract(data, tmp_path, Task(store(tmp_path), Base(fail_at=2, error=error)))
    assert len(store(tmp_path)) == 64
    rest = Base()
    assert extract(data, tmp_path, Task(store(tmp_path), rest)).computed == (36,)


def test_a_full_disk_is_met_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be written ends the run with its own error, not with a second one."""
    attempts = []

    def full(*arguments: object) -> None:
        attempts.append(1)
        raise StoreError("no space left")

    monkeypatch.setattr(RowStore, "append", full)
    with pytest.raises(StoreError, match="no space"):
        extract(photos, tmp_path, Task(store(tmp_path), Base()))
    assert attempts == [1]


def test_rows_are_stored_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed loses no more than a shard that was not full."""
    monkeypatch.setattr("featstore.shelf.SHARD_SECONDS", 0.0)
    data = write_photos(tmp_path / "photos", 50)
    counts: list[int] = []

    class Watching(Base):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            counts.append(len(store(tmp_path)))
            return super().__call__(images)

    extract(data, tmp_path, Task(store(tmp_path), Watching()))
    assert counts == [0, 32, 64, 96]


def test_float16_keeps_what_it_can_and_no_more(photos: Path, tmp_path: Path) -> None:
    """Rows that overflow are kept as float32, each by itself; on request all are."""
    pictures = extract(photos, tmp_path, Task(store(tmp_path), Base(400.0))).manifest.pictures
    brightest = gather(pictures, store(tmp_path)).X
    exact = np.stack([Reading(16, 16).reader()(Path(p.path).read_bytes()).mean(axis=(0, 1)) * 400 for p in pictures])
    assert (exact.max(axis=1) > 65504).any()
    assert brightest == pytest.approx(exact, rel=1e-3)
    extract(photos, tmp_path, Task(store(tmp_path, "b"), Base(), "float32"))
    assert store(tmp_path, "b").read([next(iter(store(tmp_path, "b")._place))]).dtype == np.float32


def test_kept_maps_serve_pooled_rows_without_the_base(photos: Path, tmp_path: Path) -> None:
    """Images that have a map are pooled from it; only the others are computed."""
    manifest = scan(photos)
    half = replace(manifest, pictures=manifest.pictures[:10])
    extract(half, tmp_path, Task(store(tmp_path, "maps"), lambda images: images.astype(np.float32)))
    base = Base()
    task = Task(store(tmp_path), base, maps=store(tmp_path, "maps"), pool=lambda m: m.mean((1, 2), dtype=np.float32))
    outcome = extract(manifest, tmp_path, task)
    assert (outcome.computed, base.seen) == ((14,), 14)
    extract(manifest, tmp_path, Task(store(tmp_path, "direct"), Base()))
    pooled, direct = (gather(outcome.manifest.pictures, store(tmp_path, name)).X for name in ("key", "direct"))
    assert pooled == pytest.approx(direct, rel=1e-3)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """No more images are alive than the window, a batch and one per thread."""
    data = write_photos(tmp_path / "photos", 150)
    alive, peak, lock = [0], [0], threading.Lock()

    class Tracked(np.ndarray):
        def __del__(self) -> None:
            if self.base is not None and getattr(self, "tracked", False):
                with lock:
                    alive[0] -= 1

    def reader() -> Any:
        read = Reading(16, 16).reader()

        def tracked(raw: bytes) -> np.ndarray:
            pixels = read(raw).view(Tracked)
            pixels.tracked = True
            with lock:
                alive[0] += 1
                peak[0] = max(peak[0], alive[0])
            return pixels

        return tracked

    extract(data, tmp_path, Task(store(tmp_path), Base()), reader=reader, threads=2)
    assert 32 <= peak[0] <= fetching.WINDOW + 32 + 2


def test_progress_is_told_of_every_image(photos: Path, tmp_path: Path) -> None:
    """First how many there are and how many are reused, then each one that is read."""
    told: list[Any] = []

    class Told:
        def start(self, total: int, reused: int) -> None:
            told.append((total, reused))

        def advance(self, computed: bool) -> None:
            told.append(computed)

    manifest = scan(photos)
    half: Sequence[Any] = manifest.pictures[:20]
    extract(replace(manifest, pictures=tuple(half)), tmp_path, Task(store(tmp_path), Base()))
    extract(manifest, tmp_path, Task(store(tmp_path), Base()), progress=Told())
    assert told == [(24, 20), True, True, True, True]


def test_a_file_that_changes_while_it_is_read_gives_no_row(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes belong to no state of the file that could be remembered."""
    path = photos / "discs" / "000.png"
    real = fetching._state
    monkeypatch.setattr(fetching, "_state", lambda fd: (os.truncate(path, os.fstat(fd).st_size + 1), real(fd))[1])
    with pytest.raises(fetching.UnreadableImage, match="changed"):
        fetching.read_file(str(path))
