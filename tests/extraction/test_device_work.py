"""The process on one device: what it tells, and how it stops. Its functions are called in the process of the tests."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import scan
from featstore.errors import BaseUnavailable, StoreError
from featstore.extraction import device_work, pipeline
from featstore.extraction.cache import Cache
from featstore.extraction.device_work import Place, Stopped, Work
from featstore.extraction.devices import Device
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe_grid import make_recipes
from featstore.extraction.told import Advance, Hold, Tell
from featstore.system.gpus import Gpu
from helpers.photos import write_photos


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def work(tmp_path: Path, cache: Cache) -> Work:
    """Six images of one's own and six of another process."""
    manifest = scan(write_photos(tmp_path / "photos", 6))
    own, others = (replace(manifest, pictures=some) for some in (manifest.pictures[:6], manifest.pictures[6:]))
    [recipe] = make_recipes(model="pixels", size=16)
    return Work(own, others, (make_plan(recipe, cache.digests),), augmented=False)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """The ends of a pipe: that of the user's process and that of the one on the device."""
    ours, theirs = Pipe()
    with ours, theirs:
        yield ours, theirs


def told(connection: Connection) -> list[Any]:
    found = []
    while connection.poll(0):
        found.append(connection.recv())
    return found


def serve(ends: tuple[Connection, Connection], cache: Cache, *work: Work, gpu: Gpu | None = None) -> list[Any]:
    """Return what a process tells that is given some work."""
    for each in work:
        ends[0].send(each)
    ended = threading.Timer(2, ends[0].close)
    device_work._serve(ends[1], Place(Device(gpu), (0,), cache))
    ended.cancel()
    return told(ends[0])


def test_the_share_of_another_is_done_as_well(work: Work, cache: Cache, ends: Any) -> None:
    """What the other one left is computed and counted, in the progress too."""
    done = device_work._do(work, cache, ends[1])
    [(rows, seconds)] = done.costs.rows.values()
    assert rows == 12
    assert seconds > 0
    assert sum(each.images for each in told(ends[0])) == 12


def test_what_the_other_one_has_done_does_not_count(work: Work, cache: Cache, ends: Any) -> None:
    """It is neither read nor shown again."""
    pipeline.extract_planned(work.others, work.plans, Cache(cache.folder))
    done = device_work._do(work, cache, ends[1])
    assert [rows for rows, _ in done.costs.rows.values()] == [6]
    assert sum(each.images for each in told(ends[0])) == 6


def test_images_that_cannot_be_read_are_left_to_the_user_s_process(work: Work, cache: Cache, ends: Any) -> None:
    """A share of nothing but such files is no failure of the job."""
    for picture in work.mine.pictures:
        Path(picture.path).write_bytes(b"x")
    done = device_work._do(work, cache, ends[1])
    assert [rows for rows, _ in done.costs.rows.values()] == [6]


def test_lines_are_passed_on(cache: Cache, ends: Any) -> None:
    """And how far it is, at most a few times a second."""
    progress = device_work._SavingReporter(ends[1], cache, is_own=False)
    progress.start(10, reused=4)
    for computed in (True, False, True):
        progress.advance(computed)
    progress.tell("tiny at 32 px")
    progress.hold()
    progress.wait(3)
    progress.steps("fit")(1, 2)
    assert told(ends[0]) == [Tell("tiny at 32 px"), Hold(), Advance(1, 2)]


def test_an_error_of_the_job_is_told(work: Work, cache: Cache, ends: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, for the user's process to raise; the process ends then."""

    def fill_the_disk(*_: object) -> None:
        raise StoreError("no space left on device")

    monkeypatch.setattr(pipeline, "extract_planned", fill_the_disk)
    [error] = serve(ends, cache, work)
    assert (type(error), str(error)) == (StoreError, "no space left on device")


@pytest.mark.tf
def test_a_gpu_that_tensorflow_cannot_use_is_refused(cache: Cache, ends: Any) -> None:
    """It would compute on the cores, and nobody would notice."""
    [error] = serve(ends, cache, gpu=Gpu(3, "NVIDIA H100", "GPU-a"))
    assert isinstance(error, BaseUnavailable)
    assert "devices='3': TensorFlow cannot use NVIDIA H100 here" in str(error)


def test_the_end_of_the_user_s_process_stops_it(
    work: Work, cache: Cache, ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the pipe any more: it signals itself, and the signal is what stores the rows."""
    signals, closed = [], threading.Event()

    def kill(process: int, number: int) -> None:
        signals.append((process, number))
        closed.set()

    def extract(manifest: Manifest, *_: object) -> None:
        ends[0].close()
        assert closed.wait(10)
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(pipeline, "extract_planned", extract)
    ends[0].send(work)
    with pytest.raises(Stopped):
        device_work._serve(ends[1], Place(Device(), (0,), cache))
    assert signals == [(os.getpid(), signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_once(number: signal.Signals) -> None:
    """As an exception, so that rows that are made are stored; a second signal does not cut that short."""
    kept = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with device_work._stopped_by_signals(), pytest.raises(Stopped) as stopped:
            signal.raise_signal(number)
        assert stopped.value.exit_code == 128 + number
        signal.raise_signal(number)
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)
