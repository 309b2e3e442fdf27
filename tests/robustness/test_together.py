"""Two or three processes that extract into one cache: they finish with the union, and share the work.

The base is a fake one that takes its time: 4 ms an image.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featstore.datasets.digests import DigestMemory
from featstore.datasets.sources import scan
from featstore.extraction import job, writer
from featstore.images.readers import make_reader
from featstore.images.reading import Reading
from featstore.store.layout import CLAIMS
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.passes import pass_of

WORK = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from featstore.extraction import job, writer
from featstore.datasets.digests import DigestMemory
from featstore.datasets.sources import scan
from featstore.images.reading import Reading
from featstore.images.readers import make_reader as make_reader_of
from featstore.extraction.passes import Pass
from featstore.extraction.writer import Task
from featstore.store import claims
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of

options = json.loads(sys.argv[1])
claims.BEAT_SECONDS, claims.DEAD_SECONDS = options["beat"], options["dead"]
writer.SHARD_SECONDS = options["shard"]
cache = Path(options["cache"])

def encode(images):  # (n, 16, 16, 3): a batch takes as long as its images do, and one with 255 in its corner is spoilt
    time.sleep(options["seconds"] * len(images))
    rows = images.astype(np.float32).mean(axis=(1, 2))
    rows[images[:, 0, 0, 0] == 255] = np.nan
    return (rows,)

class Network:
    engine, batch, calls = "fake", 32, 1
    __call__ = staticmethod(encode)

def make_reader(views):
    read = make_reader_of(Reading(16, 16))
    return lambda raw: {None: np.stack([np.roll(read(raw), view, axis=-1) for view in views[None]])}

manifest = scan(options["data"])
first, last = options["part"]
manifest = replace(manifest, pictures=manifest.pictures[first:last])
stores = [RowStore(cache / name, key_of({}), "{}", dict) for name in options["keys"]]
views = tuple(range(options["views"]))
print("ready", flush=True)
sys.stdin.readline()
start = time.monotonic()
outcome = job.run(
    manifest, [Pass([Task(s, views=views)], lambda images: Network()) for s in stores], make_reader,
    DigestMemory(cache / "digests"), threads=2
)
print(json.dumps({
    "computed": sum(outcome.computed), "images": len(outcome.manifest), "seconds": time.monotonic() - start,
    "skipped": [(Path(path).name, reason) for path, reason in outcome.manifest.skipped],
}), flush=True)
"""
COUNT = 240


@dataclass
class Pictures:
    """A folder of images, with the row that each should have: its mean colour."""

    folder: Path
    rows: dict[str, np.ndarray]  # by digest

    def check(self, store: RowStore, views: int = 1) -> int:
        """How many rows are there; every one that is there must be right."""
        ids = {row_id(digest, view): np.roll(row, view) for digest, row in self.rows.items() for view in range(views)}
        there = [row for row in ids if row in store]
        if there:
            assert np.array_equal(store.read(there), np.stack([ids[row] for row in there]))
        return len(there)


def write_pictures(folder: Path, count: int = COUNT) -> Pictures:
    """Noise of different colours, 16x16 px."""
    import hashlib

    folder.mkdir()
    rng, rows = np.random.default_rng(0), {}
    for number in range(count):
        pixels = (rng.integers(0, 256, 3) * rng.random((16, 16, 3))).astype(np.uint8)
        pixels[0, 0, 0] = 0
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
        digest = hashlib.sha256((folder / f"{number:04d}.png").read_bytes()).hexdigest()
        rows[digest] = pixels.astype(np.float32).mean(axis=(0, 1)).astype(np.float16)
    return Pictures(folder, rows)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return write_pictures(tmp_path / "pictures")


@dataclass
class Worker:
    """A process that is ready to extract."""

    process: subprocess.Popen[str]

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def result(self, timeout: float = 20) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0
        return dict(json.loads(out))


@contextmanager
def workers(cache: Path, pictures: Pictures, *options: dict[str, Any]) -> Iterator[list[Worker]]:
    """Processes with these options, none of which outlives the test."""
    started = []
    try:
        for own in options:
            usual = {"cache": str(cache), "data": str(pictures.folder), "keys": ["key"], "views": 1, "seconds": 0.004}
            usual |= {"part": [0, None], "beat": 10, "dead": 60, "shard": 10}
            command = [sys.executable, "-W", "error", "-c", WORK, json.dumps(usual | own)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.append(Worker(process))
        for worker in started:
            assert worker.process.stdout is not None
            assert worker.process.stdout.readline() == "ready\n"
        yield started
    finally:
        for worker in started:
            worker.process.kill()
            worker.process.communicate()


def together(several: Sequence[Worker], look: Callable[[], object] = lambda: None) -> list[dict[str, Any]]:
    """Let them go at the same instant, and look again and again until all are done."""
    for worker in several:
        worker.go()
    return finish(several, look)


def finish(several: Sequence[Worker], look: Callable[[], object] = lambda: None) -> list[dict[str, Any]]:
    end = time.monotonic() + 30
    while any(worker.is_running for worker in several):
        assert time.monotonic() < end, "they wait for each other"
        look()
        time.sleep(0.02)
    return [worker.result() for worker in several]


def store(cache: Path, name: str = "key") -> RowStore:
    return RowStore(cache / name, key_of({}), "{}", dict)


def wait_for(what: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def is_claiming(cache: Path, name: str = "key") -> bool:
    """Whether somebody has claimed at least one row."""
    return any(path.stat().st_size > 100 for path in (cache / name / CLAIMS).glob("*"))


@pytest.mark.parametrize("number", [2, 3])
def test_processes_that_start_at_once_share_the_work(tmp_path: Path, pictures: Pictures, number: int) -> None:
    """All rows are there in the end, hardly one was computed twice, and who reads meanwhile sees right rows only."""
    cache, seen = tmp_path / "cache", [0]
    (cache / "key").mkdir(parents=True)
    reader = store(cache)

    def look() -> None:
        reader.refresh()
        seen.append(pictures.check(reader))
        assert seen[-1] >= seen[-2]

    with workers(cache, pictures, *[{"shard": 0.1}] * number) as several:
        results = together(several, look)
    assert pictures.check(store(cache)) == COUNT
    computed = [result["computed"] for result in results]
    assert COUNT <= sum(computed) < 1.25 * COUNT
    assert min(computed) > 0
    assert all(result["images"] == COUNT for result in results)
    assert any(0 < count < COUNT for count in seen)
    assert not (cache / "key" / CLAIMS).exists()


def test_one_that_starts_late_takes_its_share(tmp_path: Path, pictures: Pictures) -> None:
    """It passes over what is stored and what the first one is making."""
    cache = tmp_path / "cache"
    with workers(cache, pictures, {}, {}) as (first, late):
        first.go()
        wait_for(lambda: is_claiming(cache))
        time.sleep(0.1)
        late.go()
        results = finish([first, late])
    assert pictures.check(store(cache)) == COUNT
    assert COUNT <= sum(result["computed"] for result in results) < 1.25 * COUNT
    assert results[1]["computed"] > 0


def test_one_that_comes_when_all_is_claimed_waits_for_it(tmp_path: Path) -> None:
    """Fewer images than one has in hand: the other computes nothing and has all rows in the end."""
    pictures, cache = write_pictures(tmp_path / "pictures", 60), tmp_path / "cache"
    with workers(cache, pictures, {"seconds": 0.02}, {"seconds": 0.02}) as (first, late):
        first.go()
        wait_for(lambda: is_claiming(cache))
        time.sleep(0.3)
        late.go()
        results = finish([first, late])
    assert [result["computed"] for result in results] == [60, 0]
    assert [result["images"] for result in results] == [60, 60]


def test_the_claims_of_a_killed_process_are_taken_over(tmp_path: Path, pictures: Pictures) -> None:
    """What it had not stored the other one computes, without a pause; what it had stored stays."""
    cache = tmp_path / "cache"
    with workers(cache, pictures, {"shard": 0.1}, {"shard": 0.1}) as (victim, other):
        victim.go()
        other.go()
        wait_for(lambda: list(cache.glob("key/s-*")))
        victim.process.kill()
        victim.process.wait()
        at_death = pictures.check(store(cache))
        (result,) = finish([other])
    assert pictures.check(store(cache)) == COUNT
    assert 0 < at_death < COUNT
    assert result["computed"] <= COUNT
    assert result["seconds"] < 10
    assert not (cache / "key" / CLAIMS).exists()


def test_the_claims_of_a_stopped_process_are_taken_over(tmp_path: Path, pictures: Pictures) -> None:
    """Nobody waits for a process that shows no sign of life; when it goes on, it does no harm."""
    cache, options = tmp_path / "cache", {"beat": 0.1, "dead": 0.8}
    with workers(cache, pictures, options, options) as (stopped, other):
        stopped.go()
        wait_for(lambda: is_claiming(cache))
        os.kill(stopped.process.pid, signal.SIGSTOP)
        other.go()
        (result,) = finish([other])
        assert stopped.is_running
        assert pictures.check(store(cache)) == result["computed"] == COUNT
        os.kill(stopped.process.pid, signal.SIGCONT)
        assert stopped.result()["images"] == COUNT
    assert pictures.check(store(cache)) == COUNT
    assert store(cache).damaged == ()


def test_nobody_waits_for_what_gives_no_row(tmp_path: Path, pictures: Pictures) -> None:
    """Broken files, and images that the base spoils, are refused by each, also while another one goes on for long."""
    for number in range(0, 10, 2):
        (pictures.folder / f"{number:04d}.png").write_bytes(b"broken %d" % number)
        Image.new("RGB", (16, 16), (255, 0, number)).save(pictures.folder / f"{number + 1:04d}.png")
    cache = tmp_path / "cache"
    with workers(cache, pictures, {"shard": 0.1, "seconds": 0.012}, {"part": [0, 20]}) as (long, short):
        long.go()
        wait_for(lambda: is_claiming(cache))
        short.go()
        (result,) = finish([short])
        assert long.is_running  # whose claims are alive
        results = [result, *finish([long])]
    reasons = dict(results[0]["skipped"])
    assert sorted(reasons) == [f"{number:04d}.png" for number in range(10)]
    assert all("infinity" in reasons[f"{number:04d}.png"] for number in range(1, 10, 2))
    assert sorted(results[1]["skipped"]) == sorted(results[0]["skipped"])
    assert [result["images"] for result in results] == [10, COUNT - 10]
    assert pictures.check(store(cache)) == COUNT - 10


def test_parts_that_overlap_become_the_union(tmp_path: Path, pictures: Pictures) -> None:
    """Each has what it asked for, and what both asked for was computed once."""
    cache = tmp_path / "cache"
    with workers(cache, pictures, {"part": [0, 160]}, {"part": [80, COUNT]}) as several:
        results = together(several)
    assert pictures.check(store(cache)) == COUNT
    assert [result["images"] for result in results] == [160, 160]
    assert COUNT <= sum(result["computed"] for result in results) < 1.25 * COUNT


def test_several_keys_in_opposite_order_do_not_block(tmp_path: Path, pictures: Pictures) -> None:
    """Each may have claimed what the other one needs next: whoever waits has stored its own and claims nothing."""
    cache, keys = tmp_path / "cache", ["a", "b", "c"]
    options = [{"keys": order, "part": [0, 120], "seconds": 0.003} for order in (keys, keys[::-1])]
    with workers(cache, pictures, *options) as several:
        results = together(several)
    assert [pictures.check(store(cache, name)) for name in keys] == [120] * 3
    assert 360 <= sum(result["computed"] for result in results) < 1.25 * 360


def test_views_are_shared_too(tmp_path: Path, pictures: Pictures) -> None:
    """Ten rows an image: all there, all right, and hardly one of them made twice."""
    cache, options = tmp_path / "cache", {"views": 10, "part": [0, 60], "seconds": 0.001}
    with workers(cache, pictures, options, options) as several:
        results = together(several)
    assert pictures.check(store(cache), views=10) == 600
    assert 600 <= sum(result["computed"] for result in results) < 1.25 * 600
    assert min(result["computed"] for result in results) > 0


def test_other_views_of_the_same_images_do_not_block(tmp_path: Path, pictures: Pictures) -> None:
    """One asks for one view, the other for three of which that is one."""
    cache = tmp_path / "cache"
    options = [{"views": views, "part": [0, 90], "seconds": 0.002} for views in (1, 3)]
    with workers(cache, pictures, *options) as several:
        results = together(several)
    assert pictures.check(store(cache), views=3) == 270
    assert [result["images"] for result in results] == [90, 90]


def test_a_job_that_is_cut_off_claims_nothing_afterwards(tmp_path: Path, pictures: Pictures) -> None:
    """Threads that still read when Ctrl-C ends the job would claim for a process that lives on, as a notebook does."""
    cache, reading = tmp_path / "cache", threading.Event()
    manifest = scan(pictures.folder)

    def fail(images: np.ndarray) -> np.ndarray:
        reading.set()
        raise KeyboardInterrupt

    def make_slow_reader(views: job.Views) -> Callable[[bytes], job.Pixels]:
        def read(raw: bytes) -> job.Pixels:
            if reading.is_set():
                time.sleep(0.05)
            return {None: make_reader(Reading(16, 16))(raw)[None]}

        return read

    interrupted = store(cache)
    with pytest.raises(KeyboardInterrupt) as cut_off:  # whose traceback keeps the job from being forgotten
        job.run(manifest, [pass_of(interrupted, fail)], make_slow_reader, DigestMemory(cache / "digests"), threads=8)
    wait_for(lambda: not any(thread.name.startswith("featstore-read") for thread in threading.enumerate()))
    assert not (cache / "key" / CLAIMS).exists()
    part = replace(manifest, pictures=manifest.pictures[:40])
    again = pass_of(store(cache), lambda images: images.astype(np.float32).mean(axis=(1, 2)))
    outcome = job.run(part, [again], make_slow_reader, DigestMemory(cache / "digests"))
    assert outcome.computed == (40,)
    assert cut_off.value is not None


def test_whoever_waits_says_so_and_looks_rarely(
    tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told is how many images another process is making; the more they are, the longer is the time between looks."""
    cache, told, slept = tmp_path / "cache", list[int](), list[float]()
    other = store(cache).writing()
    assert all(other.claims.claim(row_id(digest)) for digest in pictures.rows)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            other.claims.release_all()

    class Told(job.Silent):
        def wait(self, images: int) -> None:
            told.append(images)

    monkeypatch.setattr(
        job, "time", SimpleNamespace(sleep=sleep, perf_counter=time.perf_counter, monotonic=time.monotonic)
    )
    monkeypatch.setattr(job, "WAIT_SECONDS_EACH", 0.01)
    task = pass_of(store(cache), lambda images: images.astype(np.float32).mean(axis=(1, 2)))
    reader = make_reader(Reading(16, 16))
    memory = DigestMemory(cache / "digests")
    outcome = job.run(
        scan(pictures.folder), [task], lambda views: lambda raw: {None: reader(raw)[None]}, memory, progress=Told()
    )
    assert outcome.computed == (COUNT,)
    assert told[:3] == [COUNT] * 3
    assert slept[:3] == [pytest.approx(0.01 * COUNT)] * 3


def test_a_job_alone_does_not_wait(tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without others nothing is slower: no sleep, one shard, and the files of the dead are passed over."""
    cache = tmp_path / "cache"
    (cache / "key" / CLAIMS).mkdir(parents=True)
    (cache / "key" / CLAIMS / "1-dead").write_bytes(b"{}\n" + b"".join(row_id(digest) for digest in pictures.rows))
    os.utime(cache / "key" / CLAIMS / "1-dead", (1e9, 1e9))
    monkeypatch.setattr(job, "WAIT_SECONDS", 1e6)
    monkeypatch.setattr(writer, "SHARD_SECONDS", 1e6)
    task = pass_of(store(cache), lambda images: images.astype(np.float32).mean(axis=(1, 2)))
    manifest = scan(pictures.folder)
    reader = make_reader(Reading(16, 16))
    outcome = job.run(
        manifest, [task], lambda views: lambda raw: {None: reader(raw)[None]}, DigestMemory(cache / "digests")
    )
    assert outcome.computed == (COUNT,)
    assert len(list(cache.glob("key/s-*"))) == 1
