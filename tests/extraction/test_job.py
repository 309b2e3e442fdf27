"""The main job with a fake base: what is computed, what is reused, and what happens at an interruption."""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.datasets.digests import DigestMemory
from featstore.datasets.file_lists import list_files
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.sources import scan
from featstore.errors import StoreError, UnreadableImage
from featstore.extraction import job, passes
from featstore.extraction.passes import Pass
from featstore.features.arrays import gather
from featstore.images import prefetch, read_ahead
from featstore.images.readers import make_reader
from featstore.images.reading import Reading
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from featstore.store.writer import RowWriter
from featstore.system.environment import default_threads
from featstore.system.files import FileStat
from helpers.passes import pass_of
from helpers.photos import draw, write_photos

LATER = 10**19
SECRET = b"unreadable"


class Base:
    """Mean colour of an image, times `factor`. It counts its images, and can be set to fail."""

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


def untouched(*arguments: object) -> Any:
    """Stand for a function that must not be called."""
    raise AssertionError("nothing was to be done")


def store(cache: Path, name: str = "key") -> RowStore:
    return RowStore(cache / name, key_of({}), "{}", dict)


def extract(data: Path | Manifest, cache: Path, *made: Pass, **options: Any) -> job.Outcome:
    manifest = data if isinstance(data, Manifest) else scan(data)
    memory = DigestMemory(cache / "digests", clock=lambda: LATER)
    make = options.pop("reader", lambda: make_reader(Reading(16, 16)))

    def make_views_reader(views: job.Views) -> Any:
        read = make()
        return lambda raw: {None: read(raw)[None]}

    return job.run(manifest, made, make_views_reader, memory, **options)


def half(manifest: Manifest, count: int) -> Manifest:
    return replace(manifest, pictures=manifest.pictures[:count])


def watching_reader(seen: list[bytes]) -> Callable[[], Any]:
    """Return a factory of readers that note the bytes they get, and cannot read bytes that start with SECRET."""

    def make() -> Any:
        read = make_reader(Reading(16, 16))

        def watched(raw: bytes) -> np.ndarray:
            seen.append(raw)
            if raw.startswith(SECRET):
                raise UnreadableImage("is secret")
            return read(raw)

        return watched

    return make


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the images that are opened."""
    paths: list[str] = []
    real = read_ahead.read_file
    monkeypatch.setattr(read_ahead, "read_file", lambda path: (paths.append(path), real(path))[1])
    return paths


def test_a_second_run_computes_and_reads_nothing(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    """Neither the base nor a reader is called, and no file is opened."""
    base = Base()
    first = extract(photos, tmp_path, pass_of(store(tmp_path), base))
    assert (first.computed, base.seen, len(opened)) == ((24,), 24, 24)
    opened.clear()
    again = extract(photos, tmp_path, pass_of(store(tmp_path), untouched), reader=untouched)
    assert again.computed == (0,)
    assert opened == []
    assert [p.digest for p in again.manifest.pictures] == [p.digest for p in first.manifest.pictures]


def test_an_unknown_file_with_a_known_row_is_hashed_and_not_decoded(photos: Path, tmp_path: Path) -> None:
    """A copy elsewhere costs the reading of its bytes."""
    extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
    (photos / "discs" / "000.png").rename(tmp_path / "moved.png")
    decoded: list[bytes] = []
    outcome = extract(
        tmp_path / "moved.png", tmp_path, pass_of(store(tmp_path), untouched), reader=watching_reader(decoded)
    )
    assert (outcome.computed, decoded, len(outcome.manifest)) == ((0,), [], 1)


def test_only_new_images_cost(photos: Path, tmp_path: Path) -> None:
    """Moved, renamed and relabelled images cost nothing, ten new ones cost ten."""
    extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
    photos.rename(tmp_path / "moved")
    (tmp_path / "moved" / "discs" / "000.png").rename(tmp_path / "moved" / "stripes" / "relabelled.png")
    write_photos(tmp_path / "moved", 5, first=100)
    base = Base()
    outcome = extract(tmp_path / "moved", tmp_path, pass_of(store(tmp_path), base))
    assert (outcome.computed, base.seen, len(outcome.manifest)) == ((10,), 10, 34)
    relabelled = next(p for p in outcome.manifest.pictures if p.path.endswith("relabelled.png"))
    assert relabelled.label == "stripes"


def test_changed_bytes_under_the_same_name_are_computed(photos: Path, tmp_path: Path) -> None:
    """A row belongs to the content, not to the path, even if the time of the file was reset."""
    extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
    path = photos / "discs" / "000.png"
    before = path.stat()
    draw("discs", 77).save(path)
    with path.open("ab") as file:
        file.write(bytes(max(before.st_size - path.stat().st_size, 0)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    outcome = extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
    assert outcome.computed == (1,)
    assert outcome.manifest.pictures[0].digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_copies_are_computed_once(photos: Path, tmp_path: Path) -> None:
    """Files with the same bytes share a row, under any label, and all are in the manifest."""
    for copy in ("copy.png", "another.png"):
        (photos / "stripes" / copy).write_bytes((photos / "discs" / "000.png").read_bytes())
    for computed in (24, 0):
        outcome = extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
        assert (outcome.computed, len(outcome.manifest)) == ((computed,), 26)
    X, y, ids = gather(outcome.manifest.pictures, store(tmp_path))
    same = ids == ids[0]
    assert y[same].tolist() == ["discs", "stripes", "stripes"]
    assert (X[same] == X[0]).all()
    assert len(store(tmp_path)) == 24


def test_several_tasks_decode_each_image_once(photos: Path, tmp_path: Path) -> None:
    """Two kinds of features lack different rows; each file that is needed is read once."""
    manifest = scan(photos)
    extract(half(manifest, 12), tmp_path, pass_of(store(tmp_path, "a"), Base()))
    extract(replace(manifest, pictures=manifest.pictures[8:16]), tmp_path, pass_of(store(tmp_path, "b"), Base(2.0)))
    decoded: list[bytes] = []
    a, b = Base(), Base(2.0)
    tasks = pass_of(store(tmp_path, "a"), a), pass_of(store(tmp_path, "b"), b)
    outcome = extract(manifest, tmp_path, *tasks, reader=watching_reader(decoded))
    assert (outcome.computed, a.seen, b.seen) == ((12, 16), 12, 16)
    expected = {Path(p.path).read_bytes() for p in (*manifest.pictures[:8], *manifest.pictures[12:])}
    assert (len(decoded), set(decoded)) == (20, expected)
    features = [gather(outcome.manifest.pictures, store(tmp_path, name)).X for name in "ab"]
    assert features[0] * 2 == pytest.approx(features[1], rel=2e-3)


@pytest.mark.parametrize("threads, batch, window", [(1, 32, 96), (4, 5, 7), (3, 1, 1), (2, 24, 2)])
def test_rows_depend_on_neither_threads_nor_batches(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, batch: int, window: int
) -> None:
    """Each row is that of its own image, with its label and digest, in whatever order rows were computed."""
    monkeypatch.setattr(passes, "FIRST_BATCH", batch)
    monkeypatch.setattr(prefetch, "WINDOW", window)
    made = pass_of(store(tmp_path), Base(), "float32", batch=batch, calls=threads)
    manifest = extract(photos, tmp_path, made, threads=threads).manifest
    backwards = tuple(reversed(manifest.pictures))
    X, y, ids = gather(backwards, store(tmp_path))
    read = make_reader(Reading(16, 16))
    for row, label, digest, picture in zip(X, y, ids, backwards, strict=True):
        raw = Path(picture.path).read_bytes()
        assert row.tolist() == read(raw).astype(np.float32).mean(axis=(0, 1)).tolist()
        assert (label, digest) == (picture.label, hashlib.sha256(raw).hexdigest())


@pytest.mark.parametrize("given, used", [(3, 3), (None, default_threads())])
def test_files_are_read_by_the_threads_asked_for(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int | None, used: int
) -> None:
    """The default is the number of cores."""
    asked: list[int] = []
    real = prefetch.fetch_all
    monkeypatch.setattr(job, "fetch_all", lambda *a: (asked.append(a[3]), real(*a))[1])
    extract(photos, tmp_path, pass_of(store(tmp_path), Base()), threads=given)
    assert asked == [used]


def test_unreadable_files_are_listed_and_never_replaced(photos: Path, tmp_path: Path) -> None:
    """Broken, empty, missing and oversized files are skipped once with the reason; the others have their rows."""
    (photos / "discs" / "broken.png").write_bytes((photos / "discs" / "000.png").read_bytes()[:200])
    (photos / "discs" / "empty.png").write_bytes(b"")
    (photos / "discs" / "gone.png").write_bytes(b"x")
    with (photos / "discs" / "large.png").open("wb") as file:
        file.truncate(2**26 + 1)
    manifest = scan(photos)
    (photos / "discs" / "gone.png").unlink()
    outcome = extract(manifest, tmp_path, pass_of(store(tmp_path, "a"), Base()), pass_of(store(tmp_path, "b"), Base()))
    reasons = {Path(s.path).name: s.reason for s in outcome.manifest.skipped}
    assert sorted(reasons) == ["broken.png", "empty.png", "gone.png", "large.png"]
    assert len(outcome.manifest.skipped) == 4
    assert "limit is 64 MB" in reasons["large.png"]
    assert "No such file" in reasons["gone.png"]
    assert len(outcome.manifest) == 24
    assert len(store(tmp_path, "a")) == len(store(tmp_path, "b")) == 24


def test_a_picture_that_has_a_digest_and_cannot_be_read_any_more_is_skipped(photos: Path, tmp_path: Path) -> None:
    """The old digest, from the manifest of an earlier extraction, gives no row and is not remembered."""
    manifest = extract(photos, tmp_path, pass_of(store(tmp_path), Base())).manifest
    gone, secret = (Path(p.path) for p in manifest.pictures[:2])
    gone.unlink()
    secret.write_bytes(SECRET)
    stat = secret.stat()
    second = pass_of(store(tmp_path, "other"), Base())
    outcome = extract(manifest, tmp_path / "new", second, reader=watching_reader([]))
    assert [s.path for s in outcome.manifest.skipped] == [str(gone), str(secret)]
    assert (outcome.computed, len(outcome.manifest)) == ((22,), 22)
    memory = DigestMemory(tmp_path / "new" / "digests", clock=lambda: LATER)
    state = FileStat(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    assert memory.get(str(secret), state) is None


def test_the_digest_is_that_of_the_bytes_not_that_of_the_manifest(photos: Path, tmp_path: Path) -> None:
    """A manifest may be older than the files, so its digests are never trusted."""
    manifest = scan(photos)
    lying = replace(manifest, pictures=tuple(p._replace(known_digest="f" * 64) for p in manifest.pictures))
    outcome = extract(lying, tmp_path, pass_of(store(tmp_path), Base()))
    for picture in outcome.manifest.pictures:
        assert picture.digest == hashlib.sha256(Path(picture.path).read_bytes()).hexdigest()
    assert row_id("f" * 64) not in store(tmp_path)


def test_a_file_that_is_replaced_between_scan_and_run_has_its_new_content(photos: Path, tmp_path: Path) -> None:
    """The state of the new content is remembered."""
    manifest = scan(photos)
    path = photos / "discs" / "000.png"
    draw("stripes", 999, (30, 30)).save(path)
    first = extract(manifest, tmp_path, pass_of(store(tmp_path), Base())).manifest.pictures[0]
    assert first.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert first.stat.size == path.stat().st_size != manifest.pictures[0].stat.size
    extract(photos, tmp_path, pass_of(store(tmp_path), untouched), reader=untouched)


def test_rows_that_are_not_finite_are_skipped_with_the_reason(photos: Path, tmp_path: Path) -> None:
    """An image whose features have NaN gets no row, nor do its copies, and does not count as computed."""
    (photos / "stripes" / "copy.png").write_bytes((photos / "discs" / "000.png").read_bytes())

    def with_nan(images: np.ndarray) -> np.ndarray:
        out = images.astype(np.float32).mean(axis=(1, 2))
        out[0] = np.nan
        return out

    outcome = extract(photos, tmp_path, pass_of(store(tmp_path, "a"), with_nan), pass_of(store(tmp_path, "b"), Base()))
    reason = "the base computes NaN or infinity for this image"
    assert [(Path(s.path).name, s.reason) for s in outcome.manifest.skipped] == [
        ("000.png", reason),
        ("copy.png", reason),
    ]
    assert len(store(tmp_path, "a")) == len(outcome.manifest) == 23
    assert outcome.computed == (23, 24)
    gather(outcome.manifest.pictures, store(tmp_path, "a"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory"), SystemExit()])
def test_an_interruption_keeps_finished_batches(tmp_path: Path, error: BaseException) -> None:
    """The rows that any base has made are stored and in the index, and the next run computes the rest."""
    data = write_photos(tmp_path / "photos", 50)
    failing = pass_of(store(tmp_path, "b"), Base(fail_at=2, error=error))
    with pytest.raises(type(error)):
        extract(data, tmp_path, pass_of(store(tmp_path, "a"), Base()), failing)
    made = len(store(tmp_path, "a")), len(store(tmp_path, "b"))
    assert made[0] >= 64
    assert made[1] == 64
    assert (tmp_path / "a" / "index").exists()
    rest = pass_of(store(tmp_path, "a"), Base()), pass_of(store(tmp_path, "b"), Base())
    assert extract(data, tmp_path, *rest).computed == (100 - made[0], 36)


def test_an_interruption_while_files_are_read_keeps_finished_batches(tmp_path: Path) -> None:
    """Ctrl-C comes most often while the main thread waits for a file."""
    data = write_photos(tmp_path / "photos", 50)

    class Interrupting:
        def start(self, total: int, reused: int) -> None:
            self.left = 70

        def advance(self, computed: bool) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(data, tmp_path, pass_of(store(tmp_path), Base()), progress=Interrupting())
    assert len(store(tmp_path)) == 64
    assert extract(data, tmp_path, pass_of(store(tmp_path), Base())).computed == (36,)
    again = extract(data, tmp_path, pass_of(store(tmp_path), untouched), reader=untouched)
    assert len(again.manifest) == 100


def test_an_interruption_while_rows_are_stored_stores_them(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file being written is removed, and written again."""
    real, calls = os.fsync, [0]

    def interrupted(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] == 3:  # after two that make the folder and the spec's name last
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
    assert len(store(tmp_path)) == 24
    assert not list((tmp_path / "key").glob(".tmp-*"))


def test_what_was_read_is_remembered_after_an_interruption(tmp_path: Path, opened: list[str]) -> None:
    """The next run does not hash images again that have their rows."""
    data = write_photos(tmp_path / "photos", 50)
    with pytest.raises(KeyboardInterrupt):
        extract(data, tmp_path, pass_of(store(tmp_path), Base(fail_at=2)))
    opened.clear()
    extract(data, tmp_path, pass_of(store(tmp_path), Base()))
    assert len(opened) == 36


@pytest.mark.parametrize("seconds, saves", [(0.0, True), (300.0, False)])
def test_digests_are_saved_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, saves: bool
) -> None:
    """A killed run of days then does not read all its files again."""
    monkeypatch.setattr(job, "SAVE_SECONDS", seconds)
    monkeypatch.setattr(job, "SAVE_SHARE", 1e9)
    during: list[bool] = []
    monkeypatch.setattr(DigestMemory, "save", lambda memory: during.append(True))
    extract(scan(write_photos(tmp_path / "photos", 4)), tmp_path, pass_of(store(tmp_path), Base()))
    assert (len(during) > 2) == saves


def test_a_full_disk_is_met_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be written ends the run with the first error, not with a second one."""
    attempts = []

    def full(*arguments: object) -> None:
        attempts.append(1)
        raise StoreError("no space left")

    monkeypatch.setattr(RowWriter, "append", full)
    with pytest.raises(StoreError, match="no space"):
        extract(photos, tmp_path, pass_of(store(tmp_path), Base()))
    assert attempts == [1]


def test_rows_are_stored_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses at most one unfinished shard."""
    monkeypatch.setattr("featstore.extraction.writer.SHARD_SECONDS", 0.0)
    data = write_photos(tmp_path / "photos", 50)
    counts: list[int] = []

    class Watching(Base):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            counts.append(len(store(tmp_path)))
            return super().__call__(images)

    extract(data, tmp_path, pass_of(store(tmp_path), Watching()))
    assert counts[:2] == [0, 32]  # then what is made waits until the next batch is on its way
    assert counts[-1] >= 32
    assert len(list((tmp_path / "key").glob("s-*.h5"))) == 4


def test_two_runs_at_once_finish_with_the_union(tmp_path: Path) -> None:
    """Both complete on data that they share in part, and no row is lost or wrong."""
    data = write_photos(tmp_path / "photos", 40)
    manifest = scan(data)
    parts = half(manifest, 60), replace(manifest, pictures=manifest.pictures[20:])
    outcomes: list[job.Outcome] = []

    def work(part: Manifest) -> None:
        outcomes.append(extract(part, tmp_path, pass_of(store(tmp_path), Base())))

    workers = [threading.Thread(target=work, args=(part,)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(len(outcome.manifest) for outcome in outcomes) == [60, 60]
    outcome = extract(data, tmp_path, pass_of(store(tmp_path), untouched))
    X = gather(outcome.manifest.pictures, store(tmp_path)).X
    read = make_reader(Reading(16, 16))
    expected = [read(Path(p.path).read_bytes()).mean(axis=(0, 1)) for p in outcome.manifest.pictures]
    assert np.allclose(X, expected, rtol=1e-3)


def test_float16_keeps_what_it_can_and_no_more(photos: Path, tmp_path: Path) -> None:
    """Rows that overflow are stored as float32, each by itself."""
    pictures = extract(photos, tmp_path, pass_of(store(tmp_path), Base(400.0))).manifest.pictures
    brightest = gather(pictures, store(tmp_path)).X
    exact = np.stack(
        [make_reader(Reading(16, 16))(Path(p.path).read_bytes()).mean(axis=(0, 1)) * 400 for p in pictures]
    )
    assert 0 < (exact.max(axis=1) > 65504).sum() < len(exact)
    assert brightest == pytest.approx(exact, rel=1e-3)


def from_maps(maps: RowStore, pool: Callable[..., Any]) -> Callable[[bytes], Any]:
    """Derive rows from maps, without regard to how exact they are."""
    return lambda row: pool(maps.read([row])[0], axis=(0, 1)).astype(np.float32) if row in maps else None


def test_kept_maps_serve_pooled_rows_without_the_base(photos: Path, tmp_path: Path) -> None:
    """Images that have a map are pooled from it; only the others are decoded and computed."""
    manifest = scan(photos)
    extract(half(manifest, 10), tmp_path, pass_of(store(tmp_path, "maps"), lambda images: images.astype(np.float32)))
    base = Base()
    decoded: list[bytes] = []
    task = pass_of(store(tmp_path), base, derive=from_maps(store(tmp_path, "maps"), np.mean))
    outcome = extract(manifest, tmp_path, task, reader=watching_reader(decoded))
    assert (outcome.computed, base.seen, len(decoded)) == ((14,), 14, 14)
    extract(manifest, tmp_path, pass_of(store(tmp_path, "direct"), Base()))
    pooled, direct = (gather(outcome.manifest.pictures, store(tmp_path, name)).X for name in ("key", "direct"))
    assert pooled == pytest.approx(direct, rel=1e-3)


def test_all_from_kept_maps_needs_neither_base_nor_reader(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    """This is an extraction after one with `--pool none`."""
    extract(photos, tmp_path, pass_of(store(tmp_path, "maps"), lambda images: images.astype(np.float32)))
    opened.clear()
    task = pass_of(store(tmp_path), untouched, derive=from_maps(store(tmp_path, "maps"), np.max))
    outcome = extract(photos, tmp_path, task, reader=untouched)
    assert (outcome.computed, len(store(tmp_path)), opened) == ((0,), 24, [])


def test_memory_is_bounded(tmp_path: Path) -> None:
    """At most the window, a few batches per pass, and the images being handed over are in memory."""
    data = write_photos(tmp_path / "photos", 150)
    alive, peak, lock = [0], [0], threading.Lock()

    def forget() -> None:
        with lock:
            alive[0] -= 1

    def reader() -> Any:
        read = make_reader(Reading(16, 16))

        def counted(raw: bytes) -> np.ndarray:
            pixels = read(raw)
            weakref.finalize(pixels, forget)
            with lock:
                alive[0] += 1
                peak[0] = max(peak[0], alive[0])
            return pixels

        return counted

    late = pass_of(store(tmp_path, "b"), Base())
    extract(half(scan(data), 17), tmp_path, late)  # so that the batches of the two tasks are out of step
    alive[0] = peak[0] = 0
    extract(data, tmp_path, pass_of(store(tmp_path, "a"), Base()), late, reader=reader, threads=2)
    assert alive == [0]
    most = passes.FIRST_BATCH + 3 * 32  # that wait for a batch, and three batches that are on their way
    assert 32 < peak[0] <= prefetch.WINDOW + 2 * most + 2


def noted_progress() -> tuple[list[Any], Any]:
    """Return a log and a Progress that writes to it."""
    log: list[Any] = []

    class Noting:
        def start(self, total: int, reused: int) -> None:
            log.append((total, reused))

        def advance(self, computed: bool) -> None:
            log.append(computed)

    return log, Noting()


def test_progress_gets_every_image(photos: Path, tmp_path: Path) -> None:
    """It gets the number of images and of reused ones, then each image that is read, and whether it was decoded."""
    manifest = scan(photos)
    extract(half(manifest, 20), tmp_path, pass_of(store(tmp_path), Base()))
    (photos / "stripes" / "010.png").write_bytes(b"broken")
    (photos / "stripes" / "011.png").write_bytes((photos / "discs" / "000.png").read_bytes())
    log, progress = noted_progress()
    extract(photos, tmp_path, pass_of(store(tmp_path), Base()), progress=progress)
    assert log == [(24, 20), True, True, False, False]
    log, progress = noted_progress()
    extract(photos / "discs", tmp_path, pass_of(store(tmp_path), untouched), reader=untouched, progress=progress)
    assert log == [(12, 12)]


def test_the_seconds_add_up_to_those_of_the_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared time, such as decoding, is divided evenly among the tasks."""
    now = [0.0]

    class Slow(Base):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            now[0] += self.factor
            return super().__call__(images)

    def reader() -> Any:
        now[0] += 10.0
        return make_reader(Reading(16, 16))

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    tasks = pass_of(store(tmp_path, "a"), Slow(1.0)), pass_of(store(tmp_path, "b"), Slow(2.0))
    assert extract(photos, tmp_path, *tasks, reader=reader).seconds == pytest.approx((13 / 3, 26 / 3))


def test_a_path_that_is_given_twice_is_there_twice(photos: Path, tmp_path: Path) -> None:
    """`predict a.png b.png a.png` needs rows in the order given."""
    a, b = photos / "discs" / "000.png", photos / "stripes" / "000.png"
    outcome = extract(list_files([a, b, a]), tmp_path, pass_of(store(tmp_path), Base()))
    assert [p.path for p in outcome.manifest.pictures] == [str(a), str(b), str(a)]
    assert outcome.computed == (2,)


def test_a_reader_that_cannot_be_made_keeps_what_is_pooled(photos: Path, tmp_path: Path) -> None:
    """An error before the first image is read is handled like any other error of the run."""
    manifest = scan(photos)
    extract(half(manifest, 10), tmp_path, pass_of(store(tmp_path, "maps"), lambda images: images.astype(np.float32)))

    def broken() -> Any:
        raise RuntimeError("no TensorFlow")

    task = pass_of(store(tmp_path), untouched, derive=from_maps(store(tmp_path, "maps"), np.max))
    with pytest.raises(RuntimeError, match="no TensorFlow"):
        extract(manifest, tmp_path, task, reader=broken)


def test_a_cache_that_cannot_be_written_serves_what_it_has(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A team's read-only folder: nothing to compute, nothing to write, no error."""
    first = extract(photos, tmp_path, pass_of(store(tmp_path), Base())).manifest
    (tmp_path / "key" / "index").unlink()

    def read_only(*arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("featstore.system.files._fill", read_only)
    photos.rename(tmp_path / "moved")
    outcome = extract(tmp_path / "moved", tmp_path, pass_of(store(tmp_path), untouched))
    assert [p.digest for p in outcome.manifest.pictures] == [p.digest for p in first.pictures]


def pictures_of(numbers: range) -> Iterator[Picture]:
    for number in numbers:
        yield Picture(f"/nowhere/{number}.png", FileStat(1, 1, 1, 1), "x")


def test_nothing_readable_is_an_outcome_too(tmp_path: Path) -> None:
    """The caller decides whether that is an error."""
    outcome = extract(Manifest("x", tuple(pictures_of(range(3)))), tmp_path, pass_of(store(tmp_path), untouched))
    assert (len(outcome.manifest), len(outcome.manifest.skipped), outcome.computed) == (0, 3, (0,))
    assert not (tmp_path / "key").exists()
