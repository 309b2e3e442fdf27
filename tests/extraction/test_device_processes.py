"""Extraction with a process for each device: the same rows as with one, and what happens when one of them ends."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore import extract
from featstore.datasets.digests import DigestMemory
from featstore.datasets.sources import scan
from featstore.datasets.splits import complete_splits
from featstore.errors import StoreError, UsageError
from featstore.extraction import cache as cache_module
from featstore.extraction import device_processes as module
from featstore.extraction.cache import Cache
from featstore.extraction.device_processes import extract_on
from featstore.extraction.device_work import Done, Place, Work
from featstore.extraction.device_worker import Worker, _variables
from featstore.extraction.devices import Device
from featstore.extraction.divided import Costs
from featstore.extraction.pipeline import Extraction
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe_grid import make_recipes
from featstore.extraction.told import Advance, Hold, Tell
from featstore.features.views import load_augmented, load_views
from featstore.system.gpus import Gpu
from featstore.system.progress import Silent
from helpers.photos import write_photos

TWO = (Device(), Device())
WORDS: Any = {"model": "pixels", "size": 16}


@pytest.fixture(autouse=True)
def no_file_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember digests although the files are new."""
    monkeypatch.setattr(cache_module, "DigestMemory", functools.partial(DigestMemory, clock=lambda: 10**19))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """80 drawn images and a file that is none: work for two processes, since there are more than 32."""
    folder = write_photos(tmp_path / "photos", 40)
    (folder / "discs" / "broken.png").write_bytes(b"x")
    return folder


def rows(extraction: Extraction, cache: Path) -> list[np.ndarray]:
    """Return the rows of each set of features, plain and augmented."""
    manifest, plans = complete_splits(extraction.manifest), extraction.plans
    plain = load_views(manifest.pictures, plans, Cache(cache))
    augmented = load_augmented(manifest.of_split("train"), plans, Cache(cache))
    return [plain] if augmented is None else [plain, augmented]


def on_two(images: Path, cache: Path, progress: Any = None, **options: Any) -> Extraction:
    recipes = make_recipes(**WORDS, **options)
    return extract_on(TWO, scan(images), recipes, cache, progress)


def computed(extraction: Extraction) -> list[tuple[int, int]]:
    return [(features.computed, features.rows) for features in extraction.features]


def assert_rows_of_one(done: Extraction, images: Path, folder: Path) -> None:
    """The rows in the cache of `folder` are those that one process makes."""
    one = extract(images, **WORDS, cache=folder / "one")
    np.testing.assert_array_equal(rows(done, folder / "cache")[0], rows(one, folder / "one")[0])


class Seen(Silent):
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, total: int, reused: int) -> None:
        self.lines.append(f"start {total} {reused}")

    def advance(self, computed: bool) -> None:
        self.lines.append("image")

    def hold(self) -> None:
        self.lines.append("hold")

    def tell(self, text: str) -> None:
        self.lines.append(text)


def test_two_processes_make_the_rows_of_one(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain and augmented rows. With nothing to do no process starts, though a file cannot be read."""
    one = extract(images, model="pixels", size=16, views="augment:2", cache=tmp_path / "one")
    seen = Seen()
    two = on_two(images, tmp_path / "two", seen, views="augment:2")
    assert computed(two) == computed(one)
    assert [features.spec for features in two.features] == [features.spec for features in one.features]
    assert two.manifest == one.manifest
    for mine, others in zip(rows(two, tmp_path / "two"), rows(one, tmp_path / "one"), strict=True):
        np.testing.assert_array_equal(mine, others)
    assert all(features.seconds > 0 for features in two.features)
    assert "2 processes: cpu" in "\n".join(seen.lines)
    assert "start 81 0" in seen.lines  # and again at the end where the processes found the files too young to remember
    assert seen.lines.count("image") >= 81 + len(complete_splits(two.manifest).of_split("train"))

    monkeypatch.setattr(module, "Worker", lambda _: pytest.fail("a process was started"))
    again = on_two(images, tmp_path / "two", views="augment:2")
    assert [features.computed for features in again.features] == [0, 0]


def test_a_process_that_dies_is_named_and_its_share_is_done(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed as the system does it where memory is full. The other one computes all rows, and this process none."""
    begin, begun = Worker.begin, []

    def kill_the_first(self: Worker, work: Work) -> None:
        if not begun:
            self._process.kill()
            self._process.wait()
        begun.append(self)
        begin(self, work)

    monkeypatch.setattr(Worker, "begin", kill_the_first)
    with warnings.catch_warnings(record=True) as told:
        done = on_two(images, tmp_path / "cache")
    assert [str(warning.message) for warning in told] == [
        "the process on cpu was killed by SIGKILL (exit code -9), most often since the memory was full; what it has "
        "left is computed by the others, or here"
    ]
    assert computed(done) == [(80, 80)]
    assert_rows_of_one(done, images, tmp_path)
    assert all(not worker.is_alive for worker in begun)


def test_an_interruption_stops_all_and_loses_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, which a terminal sends to all, is for this process alone: it stops the others, which store their rows."""
    workers: list[Worker] = []

    class Interrupted(Seen):
        def advance(self, computed: bool) -> None:
            super().advance(computed)
            if self.lines.count("image") == 70:  # so that one of them has made a whole batch
                raise KeyboardInterrupt

    def start(place: Place) -> Worker:
        workers.append(Worker(place))
        return workers[-1]

    monkeypatch.setattr(module, "Worker", start)
    with pytest.raises(KeyboardInterrupt):
        on_two(images, tmp_path / "cache", Interrupted())
    assert [worker.is_alive for worker in workers] == [False, False]
    left = [path.name for path in (tmp_path / "cache").rglob("*") if "claims" in path.parts or ".tmp-" in path.name]
    assert not left
    done = extract(images, **WORDS, cache=tmp_path / "cache")
    assert done.features[0].computed < 80
    assert_rows_of_one(done, images, tmp_path)


class Spoken:
    """A worker that computes nothing, and tells what a test has it tell."""

    def __init__(self, place: Place, *told: Any) -> None:
        self.place = place
        self.connection, self._own = Pipe()
        for each in told:
            self._own.send(each)
        self._own.close()
        self.is_alive, self.done = True, None
        self.work: Work | None = None

    listen, describe_end = Worker.listen, lambda self: "ended"

    def begin(self, work: Work) -> None:
        self.work = work

    def tell_to_stop(self) -> None:
        self.connection.close()
        self.is_alive = False

    def end(self) -> None:
        assert not self.is_alive


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Spoken]]:
    """Return a function that has each of two workers tell something; it returns the workers."""

    def speak(*told: list[Any]) -> list[Spoken]:
        workers: list[Spoken] = []

        def start(place: Place) -> Spoken:
            workers.append(Spoken(place, *told[len(workers)]))
            return workers[-1]

        monkeypatch.setattr(module, "Worker", start)
        return workers

    return speak


def test_an_error_is_raised_once(images: Path, tmp_path: Path, spoken: Callable[..., list[Spoken]]) -> None:
    """All meet the same full disk. The first that says so ends the job, in its words."""
    error = StoreError("/cache: no space left on device; free some and run the same command again")
    workers = spoken([error], [error])
    with pytest.raises(StoreError) as raised:
        on_two(images, tmp_path / "cache")
    assert str(raised.value) == str(error)
    assert [worker.is_alive for worker in workers] == [False, False]


def test_the_progress_is_that_of_one_job(images: Path, tmp_path: Path, spoken: Callable[..., list[Spoken]]) -> None:
    """Images of both add up, to no more than there are; lines come once; each run of several starts anew."""
    first = [Tell("tiny at 32 px"), Advance(1, 30), Hold(), Advance(2, 40), Done(Costs())]
    second = [Tell("tiny at 32 px"), Advance(1, 60), Advance(2, 50), Done(Costs())]
    workers, seen = spoken(first, second), Seen()
    done = on_two(images, tmp_path / "cache", seen)
    assert seen.lines.count("tiny at 32 px") == seen.lines.count("hold") == 1
    runs = "\n".join(seen.lines).split("start 81 0\n")
    assert len(runs) >= 3
    assert "image" not in runs[0]
    assert runs[1].count("image") <= 81
    assert runs[2].count("image") == 81
    shares = [[len(worker.work.mine), len(worker.work.others)] for worker in workers if worker.work]
    assert shares == [[40, 41], [41, 40]]
    assert computed(done) == [(80, 80)]  # here, since the others have made none


def test_rows_are_counted_by_key(
    images: Path, tmp_path: Path, spoken: Callable[..., list[Spoken]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of two variants with one key count for the first; none counts twice that two processes have made."""
    key = make_plan(make_recipes(**WORDS)[0], DigestMemory(tmp_path)).spec.key
    spoken([Done(Costs({key: (50, 2.0)}))], [Done(Costs({key: (40, 1.0)}))])
    monkeypatch.setattr(Spoken, "begin", lambda *_: extract(images, **WORDS, cache=tmp_path / "cache"))
    done = on_two(images, tmp_path / "cache", preprocess=["keras", "rescale"])
    assert computed(done) == [(80, 80), (0, 80)]


def test_few_images_need_one_process(tmp_path: Path, spoken: Callable[..., list[Spoken]]) -> None:
    """A process that gets no whole batch is not worth its start."""
    workers = spoken([Done(Costs())])
    on_two(write_photos(tmp_path / "few", 8), tmp_path / "cache")
    assert len(workers) == 1


def test_a_process_sees_its_own_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before TensorFlow loads: a GPU by the word that CUDA takes, or none; no process takes all memory of a GPU."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    gpu, cache = Gpu(1, "NVIDIA A100", "GPU-b"), Cache(tmp_path)
    seen = _variables(Place(Device(gpu), (0,), cache))
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["TF_FORCE_GPU_ALLOW_GROWTH"]) == ("GPU-b", "true")
    assert _variables(Place(Device(), (0,), cache))["CUDA_VISIBLE_DEVICES"] == "-1"
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert _variables(Place(Device(), (0, 1), cache))["TF_NUM_INTRAOP_THREADS"] == "2"


def test_gpus_are_for_tensorflow(images: Path, tmp_path: Path, spoken: Callable[..., list[Spoken]]) -> None:
    """No engine is tried in a process that has a GPU, and one that cannot use it is refused."""
    gpu, recipes = Gpu(1, "NVIDIA A100", "GPU-b"), make_recipes(**WORDS)
    workers = spoken([Done(Costs())], [Done(Costs())])
    extract_on((Device(gpu), Device()), scan(images), recipes, Cache(tmp_path, engine="auto"))
    assert [worker.place.cache.engine for worker in workers] == ["tensorflow", "auto"]
    with pytest.raises(UsageError, match=r"engine='openvino': cannot use GPU 1"):
        extract_on((Device(gpu),), scan(images), recipes, Cache(tmp_path, engine="openvino"))


@pytest.mark.tf
def test_a_network_makes_the_same_rows_in_a_process_of_its_own(images: Path, tmp_path: Path) -> None:
    """TensorFlow loads there, and with it `tiny`, on all cores of this machine."""
    recipes = make_recipes(model="tiny")
    there = extract_on((Device(),), scan(images), recipes, tmp_path / "there")
    here = extract(images, model="tiny", cache=tmp_path / "here")
    assert computed(there) == computed(here) == [(80, 80)]
    np.testing.assert_array_equal(rows(there, tmp_path / "there")[0], rows(here, tmp_path / "here")[0])
