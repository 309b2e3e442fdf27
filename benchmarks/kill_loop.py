"""Kills `featstore` processes at random instants while others work on the same cache, and counts what is lost.

    python benchmarks/kill_loop.py --kills 500

In each round two `featstore extract` start at once and are killed, each after a time drawn from what its work takes;
one in three as soon as it writes a file from then on. In every fourth round it is `featstore cache compact`, `repair`
or `prune`, alone or beside one. Another process reads the cache all the while and compares every row with the right
one. After each round every row that was seen before has to be there. When little is left to do, images are added or the
cache is deleted. Two numbers of the product are changed, for more to interrupt: batches of 8 images, and a shard for
each. Exit code 1 if a row is lost or wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
from timing import draw_images

from featstore.errors import StoreError
from featstore.store.layout import CLAIMS, SPEC
from featstore.store.reader import RowReader
from featstore.store.rowid import row_id

PROCESS = """
import sys
from featstore.extraction import writer, pipeline
from featstore.cli.app import main
from featstore.images import reading
from featstore.store import compaction, pruning, repair
writer.BATCH, writer.SHARD_SECONDS = 8, 0
if "tiny" in sys.argv:
    from featstore.system.tensorflow_loader import load_tensorflow
    load_tensorflow()
    import keras
print("ready", flush=True)
main()
"""
MODELS = {"pixels": ("--model", "pixels", "--size", "96"), "tiny": ("--model", "tiny")}
TOLERANCE = {"pixels": 0.0, "tiny": 1e-3}  # of the length of a row
CARE = (("compact",), ("repair",), ("prune", "--max-size", "0M", "--yes"))
CARE_SHARE = 0.25  # of the rounds
AIMED_SHARE = 1 / 3  # of the kills
AIM_SECONDS = 0.3
LITTLE = 0.2  # of the rows: then there is more work to be found

Rows = dict[bytes, np.ndarray]


class Process:
    """A `featstore` process. It has loaded all that it needs when it is `ready`, and begins."""

    def __init__(self, scratch: Path, *arguments: str, cache: str = "cache") -> None:
        self.arguments = arguments
        command = [sys.executable, "-c", PROCESS, *arguments, "--cache", cache, "--quiet"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONSAFEPATH": "1"}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=scratch, env=environment, **pipes)
        self.pid = self._process.pid
        self.cares = arguments[0] == "cache"

    def ready(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self._fail()

    def kill(self) -> bool:
        """Whether it was still at work."""
        self._process.kill()
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Its exit code. That it fails by itself is a fault, unless it was to have a key alone that is in use."""
        _, self._errors = self._process.communicate(timeout=300)
        refused = self.cares and "in use by another process" in self._errors
        if self._process.returncode not in (0, -signal.SIGKILL) and not refused:
            self._fail()
        return self._process.returncode

    def _fail(self) -> None:
        errors = self._process.communicate()[1] if self._process.returncode is None else self._errors
        sys.exit(f"featstore {' '.join(self.arguments)}: exit code {self._process.returncode}:\n{errors}")


class Loop:
    """A cache that is worked on. `seen` has the ids of the rows that have to be there, by model."""

    def __init__(self, scratch: Path, images: int, models: Sequence[str], seed: int) -> None:
        self.scratch, self.cache = scratch, scratch / "cache"
        self.counts: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.removals = multiprocessing.get_context("spawn").Value("q", 0)  # odd while rows are removed on purpose
        self.seen: dict[str, set[bytes]] = {model: set() for model in models}
        self._random = random.Random(seed)
        self._images = sorted(draw_images(scratch / "all", images).rglob("*.png"))
        self._shown = 0
        self._show(images)
        self.truth: dict[str, Rows] = {}
        self._seconds: dict[str, tuple[float, float]] = {}  # with nothing to do, and with all of it
        for model in models:
            self._measure(model)
        self._care_seconds = self._seconds_of([Process(self.scratch, "cache", "compact")])

    def round(self, model: str) -> None:
        """Two processes at once, and the end of both."""
        self._find_work(model)
        care = self._random.choice(CARE) if self._random.random() < CARE_SHARE and self._folders() else None
        removing = care is not None and care[0] == "prune"
        with self._announced(removing):
            processes = [Process(self.scratch, "cache", *care) if care else self._extract(model)]
            if care is None or self._random.random() < 0.5:  # whoever extracts keeps the others from having the key
                processes.append(self._extract(model))
            for process in processes:
                process.ready()
            start = time.perf_counter()
            instants = [start + self._random.uniform(0, self._longest(process, model)) for process in processes]
            for instant, process in sorted(zip(instants, processes, strict=True), key=_first):
                time.sleep(max(0.0, instant - time.perf_counter()))
                self._kill(process)
        self.check(removing)

    def check(self, removed: bool = False) -> None:
        """Compare all rows with the right ones and, unless some were removed, what is there with what was before."""
        for model, seen in self.seen.items():
            there, wrong = set[bytes](), 0
            for folder in self._folders(model):
                store = RowReader.open(folder)
                there, wrong = look(store, self.truth[model], TOLERANCE[model])
                wrong += len(store) - len(there)  # rows that nobody asked for
            self.counts["written"] += len(there - seen)
            self.counts["lost"] += 0 if removed else len(seen - there)
            self.counts["wrong"] += wrong
            self.seen[model] = there

    def finish(self) -> None:
        """Leave the cache to those who are not killed: all is completed, cleared, and found right."""
        self._show(len(self._images))
        for model in self.seen:
            self._finished(*self._arguments(model))
        self.check()
        if any(self._missing(model) for model in self.seen):
            sys.exit("an extraction that was not killed left rows out")
        self._finished("cache", "compact")
        self._finished("cache", "repair")
        self._finished("cache", "verify")
        self.check()
        left = [path for folder in self._folders() for path in [*folder.glob(".tmp-*"), *folder.glob(f"{CLAIMS}/*")]]
        if left:
            sys.exit(f"repair left {left[0]}")

    def _measure(self, model: str) -> None:
        """The right rows, from a run alone into another cache; and the time that two take together."""
        self._finished(*self._arguments(model), cache="truth")
        (folder,) = self._folders(model, self.scratch / "truth")
        ids = [row_id(hashlib.sha256(path.read_bytes()).hexdigest()) for path in self._images]
        self.truth[model] = dict(zip(ids, RowReader.open(folder).read(ids), strict=True))
        full, idle = (self._seconds_of([self._extract(model) for _ in range(2)]) for _ in range(2))
        self._seconds[model] = idle, full
        print(f"{model}: two processes take {full:.2f} s together, {idle:.2f} s with nothing to do", flush=True)

    def _seconds_of(self, processes: Sequence[Process]) -> float:
        for process in processes:
            process.ready()
        start = time.perf_counter()
        for process in processes:
            process.end()
        return time.perf_counter() - start

    def _longest(self, process: Process, model: str) -> float:
        """Seconds that a process should take that is not killed."""
        idle, full = self._seconds[model]
        return self._care_seconds if process.cares else idle + (full - idle) * self._missing(model)

    def _find_work(self, model: str) -> None:
        if self._missing(model) >= LITTLE:
            return
        if self._shown < len(self._images):
            self._show(self._shown + len(self._images) // 4)
        else:
            with self._announced(True):
                shutil.rmtree(self.cache)
            self.check(removed=True)
            self._show(len(self._images) // 2)

    def _kill(self, process: Process) -> None:
        if self._random.random() < AIMED_SHARE:
            end = time.perf_counter() + AIM_SECONDS
            while not self._is_writing(process) and time.perf_counter() < end:
                pass
        if not process.kill():
            self.counts["too late"] += 1
            return
        self.counts["kills"] += 1
        self.killed[process.arguments[1 if process.cares else 3]] += 1
        self.counts["writing"] += self._is_writing(process)
        self.counts["claiming"] += bool(glob(f"{self.cache}/*/*/{CLAIMS}/{process.pid}-*"))

    def _is_writing(self, process: Process) -> bool:
        """Whether there is a temporary file of its own among the rows."""
        return bool(glob(f"{self.cache}/*/*/.tmp-{process.pid}-*"))

    @contextmanager
    def _announced(self, removing: bool) -> Iterator[None]:
        """Tells the reader that rows which are not there afterwards are not lost."""
        self.removals.value += removing
        yield
        self.removals.value += removing

    def _missing(self, model: str) -> float:
        """Share of the rows for the images that are shown."""
        return max(0.0, 1 - len(self.seen[model]) / self._shown)

    def _show(self, count: int) -> None:
        """Put so many of the images into the folder that is extracted."""
        self._shown = min(count, len(self._images))
        shutil.rmtree(self.scratch / "images", ignore_errors=True)
        for path in self._images[: self._shown]:
            target = self.scratch / "images" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)

    def _folders(self, model: str = "*", cache: Path | None = None) -> list[Path]:
        return key_folders(cache or self.cache, model)

    def _extract(self, model: str) -> Process:
        return Process(self.scratch, *self._arguments(model))

    def _arguments(self, model: str) -> list[str]:
        return ["extract", "images", *MODELS[model]]

    def _finished(self, *arguments: str, cache: str = "cache") -> None:
        Process(self.scratch, *arguments, cache=cache).end()


def key_folders(cache: Path, model: str) -> list[Path]:
    """Those that can be opened; others may come and go meanwhile, which `Path.glob` does not take."""
    return sorted(Path(path).parent for path in glob(f"{cache}/{model}/*/{SPEC}"))


def look(store: RowReader, truth: Rows, tolerance: float) -> tuple[set[bytes], int]:
    """The ids of the rows that are there, and how many of them are wrong."""
    there = [row for row in truth if row in store]
    if not there:
        return set(), 0
    rows, right = (
        np.asarray(r, np.float64).reshape(len(there), -1) for r in (store.read(there), [truth[r] for r in there])
    )
    distance = np.linalg.norm(rows - right, axis=1)
    return set(there), int((distance > tolerance * np.linalg.norm(right, axis=1)).sum())


def read_for_ever(cache: Path, truth: dict[str, Rows], removals: Any, figures: Any) -> None:
    """The reader: opens each key, or looks again into an open one, and compares all that is there."""
    stores: dict[str, RowReader] = {}
    seen: dict[str, tuple[int, set[bytes]]] = {}  # and after how many removals
    for number in itertools.count():
        for model in truth:
            now = removals.value
            try:
                if number % 3 == 0 or model not in stores:
                    stores[model] = RowReader.open(key_folders(cache, model)[0])
                stores[model].refresh()
                there, wrong = look(stores[model], truth[model], TOLERANCE[model])
            except (IndexError, StoreError):  # nothing there yet, or gone while it was looked at
                stores.pop(model, None)
                figures[4] += 1
                time.sleep(0.001)
                continue
            figures[0] += 1
            figures[1] += len(there)
            figures[3] += wrong
            when, before = seen.get(model, (now, set()))
            if when == now == removals.value and now % 2 == 0:
                figures[2] += len(before - there)
            seen[model] = now, there


@contextmanager
def reader(loop: Loop) -> Iterator[Any]:
    """A process that reads: (looks, rows, lost, wrong, refused)."""
    context = multiprocessing.get_context("spawn")
    figures = context.Array("q", 5)
    process = context.Process(target=read_for_ever, args=(loop.cache, loop.truth, loop.removals, figures), daemon=True)
    process.start()
    try:
        yield figures
        if not process.is_alive():
            sys.exit("the reader has failed")
    finally:
        process.kill()
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--tiny", type=int, default=20, help="every so many rounds the base is tiny; 0: never")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = list(MODELS) if arguments.tiny else ["pixels"]
        loop, number = Loop(Path(scratch), arguments.images, models, arguments.seed), 0
        with reader(loop) as figures:
            while loop.counts["kills"] < arguments.kills:
                number += 1
                loop.round("tiny" if arguments.tiny and number % arguments.tiny == 0 else "pixels")
                if number % 50 == 0:
                    print(f"{loop.counts['kills']} kills, {loop.counts['lost'] + figures[2]} rows lost", flush=True)
        loop.finish()
    counts, (looks, rows, lost, wrong, refused) = loop.counts, figures
    which = ", ".join(f"{count} {name}" for name, count in loop.killed.most_common())
    print(f"kills   {counts['kills']} ({which}) in {number} rounds; {counts['too late']} came too late")
    print(f"at work {counts['writing']} left a temporary file behind, {counts['claiming']} claims")
    print(f"rows    {counts['written']} written, {counts['lost']} lost, {counts['wrong']} wrong")
    print(f"reader  {rows} rows in {looks} looks, {lost} lost, {wrong} wrong; {refused} times nothing to open")
    sys.exit(1 if counts["lost"] + counts["wrong"] + lost + wrong else 0)


def _first(pair: tuple[float, Process]) -> float:
    return pair[0]


if __name__ == "__main__":
    main()
