"""What the driver does with the answers of workers. No Ray is started: blocks are done in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from featstore import extract
from featstore.cluster import job as module
from featstore.cluster.capacity import Crew
from featstore.cluster.job import extract_on_ray
from featstore.cluster.options import ClusterOptions
from featstore.cluster.questions import TakeAnswer
from featstore.cluster.work import Answer, Block, Task
from featstore.cluster.worker import KeptBases, complete_block
from featstore.datasets.manifest import Picture
from featstore.datasets.sources import scan
from featstore.errors import DataError, UsageError
from featstore.extraction import job as extraction_job
from featstore.extraction import pipeline
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import Extraction
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.progress import Silent
from helpers.photos import write_photos

PIXELS: Any = {"model": "pixels", "size": 16}


class Here:
    """A `Round` whose blocks are done in this process. tasks: of all rounds; change: what becomes of an answer."""

    tasks: ClassVar[list[Task]] = []
    change: Callable[[Answer], Answer | None] = staticmethod(lambda answer: answer)

    def __init__(self, site: Any, task: Task, progress: Any, bar: Any) -> None:
        self._task, self._bar = task, bar
        self.tasks.append(task)

    def run(self, blocks: Sequence[Block], take: TakeAnswer) -> None:
        bases = KeptBases(self._task.images)
        for block in blocks:
            done = self.change(complete_block(self._task, block, bases, self._bar.show))
            if done is not None:
                take(done)


@pytest.fixture(autouse=True)
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what happens with the connection to Ray."""
    happened: list[str] = []

    @contextmanager
    def connected(address: str | None) -> Iterator[None]:
        happened.append("start")
        try:
            yield
        finally:
            happened.append("stop")

    Here.tasks.clear()
    monkeypatch.setattr(Here, "change", staticmethod(lambda answer: answer))
    monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(module, "Site", lambda options: SimpleNamespace(crew=Crew(2, 1, 0)))
    monkeypatch.setattr(module, "Round", Here)
    return happened


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = write_photos(tmp_path / "photos", 40)
    (folder / "discs" / "broken.png").write_bytes(b"x")
    return folder


def on_ray(data: Any, cache: Any, progress: Any = None, **options: Any) -> Extraction:
    return extract_on_ray(ClusterOptions(), scan(data), make_recipes(**options), cache, progress)


def test_the_result_is_that_of_a_plain_extraction(images: Path, tmp_path: Path, sessions: list[str]) -> None:
    """Of several preprocessings and sizes, with augmented versions: but for the time, all is the same."""
    options: Any = {"model": "pixels", "size": [16, 24], "preprocess": ["keras", "torch"], "views": "augment:1"}
    done, plain = on_ray(images, tmp_path / "ray", **options), extract(images, **options, cache=tmp_path / "plain")
    assert done.manifest == plain.manifest
    assert done.plans == plain.plans
    for mine, others in zip(done.features, plain.features, strict=True):
        assert {**mine.describe(), "path": "", "seconds": 0} == {**others.describe(), "path": "", "seconds": 0}
    assert sessions == ["start", "stop"]
    assert all(features.seconds > 0 for features in done.features if features.computed)


def test_nothing_is_read_twice(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the driver, though files are too young to be remembered; nor by a plain extraction, of old ones."""
    for path in images.rglob("*.png"):
        os.utime(path, (10**9, 10**9))
    (images / "discs" / "broken.png").unlink()
    read: list[int] = []
    fetch = extraction_job.fetch_all
    monkeypatch.setattr(
        extraction_job, "fetch_all", lambda some, *rest: (read.append(len(some)), fetch(some, *rest))[1]
    )
    on_ray(images, tmp_path / "cache", **PIXELS)
    assert sum(read) == 80


def test_ray_starts_only_if_something_is_missing(images: Path, tmp_path: Path, sessions: list[str]) -> None:
    (images / "discs" / "broken.png").unlink()
    cache = Cache(tmp_path / "cache")
    on_ray(images, cache, **PIXELS)
    sessions.clear()
    for picture in scan(images).pictures:  # they are too young for this to be remembered by itself
        cache.digests.get(picture.path, picture.stat)
        cache.digests._missed[picture.path] = 10**19
        cache.digests.remember(picture.path, picture.stat, _digest(picture.path), 0)
    again = on_ray(images, cache, **PIXELS)
    assert (again.features[0].computed, sessions) == (0, [])


def _digest(path: str) -> str:
    import hashlib

    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_workers_get_names_that_hold_everywhere(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have other working folders. The user's names come back."""
    monkeypatch.chdir(tmp_path)
    done = on_ray("photos", "cache", **PIXELS)
    assert {os.path.dirname(path) for path, _ in done.manifest.skipped} == {"photos/discs"}
    assert all(picture.path.startswith("photos/") for picture in done.manifest.pictures)
    [task] = Here.tasks
    assert task.cache.folder == tmp_path / "cache"


def test_what_workers_skip_is_never_read_here(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that ends each process that reads it would end this one as well."""
    fatal = str(images / "stripes" / "003.png")

    def die(answer: Answer) -> Answer:
        return Answer(answer.number, "fatal") if any(p.path == fatal for p in answer.complete) else answer

    monkeypatch.setattr(Here, "change", staticmethod(die))
    read: list[str] = []
    fetch = extraction_job.fetch_all

    def note(some: Sequence[Picture], *rest: Any) -> Any:
        read.extend(picture.path for picture in some)
        return fetch(some, *rest)

    monkeypatch.setattr(extraction_job, "fetch_all", note)
    done = on_ray(images, tmp_path / "cache", **PIXELS)
    assert read.count(fatal) == 2  # by workers: with its block, and alone
    skipped = {os.path.basename(path): reason for path, reason in done.manifest.skipped}
    assert skipped["003.png"] == "ends the process that reads it, each time that it is tried"
    assert len(done.manifest) == 79


def test_notes_on_levels_are_of_all_images(tmp_path: Path) -> None:
    """Of grey images of 16 bits that use 12: the driver has decoded none of them."""
    folder = tmp_path / "xrays"
    for number in range(40):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        levels = np.random.default_rng(number).integers(0, 4096, (16, 16)).astype(np.uint16)
        Image.fromarray(levels).save(folder / "ab"[number % 2] / f"{number}.png")
    done, plain = on_ray(folder, tmp_path / "a", **PIXELS), extract(folder, **PIXELS, cache=tmp_path / "b")
    assert plain.manifest.notes
    assert done.manifest.notes == plain.manifest.notes


def test_bases_that_do_not_fit_together_follow_each_other(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker holds as many as one process may; each run says what it computes."""
    monkeypatch.setattr(pipeline, "MOST_PARAMETERS", 1)
    monkeypatch.setattr(pipeline, "_parameters", lambda recipe: 1.0)
    lines: list[str] = []

    class Told(Silent):
        def tell(self, text: str) -> None:
            lines.append(text)

    on_ray(images, tmp_path / "cache", Told(), model="pixels", size=[16, 24])
    assert len(Here.tasks) == 2
    assert [len(task.needed) for task in Here.tasks] == [1, 1]
    assert [line for line in lines if " of 2" in line] == ["pixels at 16x16 px, 1 of 2", "pixels at 24x24 px, 2 of 2"]


def test_no_image_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"x")
    with pytest.raises(DataError, match="none of 1 files can be used"):
        on_ray(tmp_path / "photos", tmp_path / "cache", **PIXELS)


def test_an_image_that_goes_before_it_is_augmented_is_an_error(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in one process: the features would not be those that were asked for."""

    def remove(answer: Answer) -> Answer:
        for picture in answer.complete:
            Path(picture.path).unlink(missing_ok=True)
        return answer

    monkeypatch.setattr(Here, "change", staticmethod(remove))
    with pytest.raises(DataError, match="was read before and cannot be augmented now"):
        on_ray(images, tmp_path / "cache", **PIXELS, views="augment:1")


def test_a_cache_in_the_memory_of_one_process_is_refused(images: Path) -> None:
    """Before anything is read: the workers would fill caches of their own."""
    cache: Any = Cache("cache")
    cache.folder = "memory://cache"
    with pytest.raises(UsageError, match="is in the memory of this process"):
        on_ray(images, cache, **PIXELS)


def test_an_interruption_keeps_what_was_found(
    images: Path, tmp_path: Path, sessions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests are saved, and the Ray that was started is stopped."""
    answers: list[Answer] = []

    def interrupt(answer: Answer) -> Answer:
        answers.append(answer)
        if len(answers) == 2:
            raise KeyboardInterrupt
        return answer

    saved: list[bool] = []
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(cache.digests, "save", lambda: saved.append(True))
    monkeypatch.setattr(Here, "change", staticmethod(interrupt))
    with pytest.raises(KeyboardInterrupt):
        on_ray(images, cache, **PIXELS)
    assert sessions == ["start", "stop"]
    assert saved
