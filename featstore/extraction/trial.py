"""A trial: a base runs over a few images as in an extraction, and its time and memory are measured. Nothing is stored.

A trial is a process of its own. So its start is that of an extraction, its peak of memory is of nothing else, and the
next one does not find the libraries loaded.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore import errors
from featstore.datasets.file_lists import list_files
from featstore.datasets.manifest import Picture
from featstore.engines.memory import FOLDER
from featstore.errors import BaseUnavailable, DataError, FeatstoreError
from featstore.extraction.cache import Cache
from featstore.extraction.canary import NAMES
from featstore.extraction.encoder import load_encoder
from featstore.extraction.plan import PlannedRows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.images.prefetch import fetch_all
from featstore.images.readers import make_views_reader
from featstore.objects.urls import absolute
from featstore.system.environment import default_threads
from featstore.system.machine import peak_memory
from featstore.system.pinned import pinned

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from featstore.engines.network import Network

SECONDS = 3.0  # for which a network is measured at most, but twice at least
FEWEST = 20  # images that are computed at a time
_MAIN = "from featstore.extraction.trial import main; main()"


class Trial(NamedTuple):
    """What was measured.

    Attributes:
        engine: What computes the base.
        start: Seconds until the first rows: loading and building, and choosing an engine where that pays.
        seconds: Seconds for all images after that, with reading.
        bytes: Of the rows of an image, as they are stored.
        memory: The most that the process had at once, in bytes; None if it is not known.
    """

    engine: str
    start: float
    seconds: float
    bytes: float
    memory: int | None


class Pace(NamedTuple):
    """What was measured of one size.

    Attributes:
        engine: What computes the base.
        batch: Number of images that it computes at a time; where fewer are left, they take as long.
        seconds: Seconds for a row, with reading.
        bytes: Of the rows of an image, as they are stored.
        spent: Seconds of measuring, which are no part of a start.
    """

    engine: str
    batch: int
    seconds: float
    bytes: float
    spent: float

    def seconds_for(self, rows: int) -> float:
        """Return the seconds for so many rows: in whole batches, the first of which begins with the canary."""
        return math.ceil((rows + len(NAMES)) / self.batch) * self.batch * self.seconds


def run_trial(recipe: Recipe, cache: Cache, pictures: Sequence[Picture], images: int) -> Trial:
    """Measure an extraction of `recipe` on `pictures`, in a process of its own.

    pictures: the first one is the largest of all, which is read since it takes the most memory; its time does not
    count. images: how many are to be extracted, so that an engine is chosen as it would be for them. Raises the errors
    of an extraction, and BaseUnavailable if the process is killed.
    """
    task = {
        "recipe": recipe.at_absolute_paths().describe(),
        "cache": str(cache.folder.absolute()),
        "engine": cache.engine,
        "paths": [absolute(picture.path) for picture in pictures],
        "images": images,
        "began": time.time(),
    }
    before = _choices(cache)
    found = _run(recipe.model, task)
    if _choices(cache) != before:  # an extraction finds the choice, and starts sooner and in less memory
        found = _run(recipe.model, {**task, "began": time.time()})
    return found


def _choices(cache: Cache) -> set[str]:
    """Return the names of the files with choices of engines."""
    return {file.name for file in (cache.local / FOLDER).glob("*")}


def _run(model: str, task: dict[str, Any]) -> Trial:
    """Run `main` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-P", "-c", _MAIN]
    done = subprocess.run(command, input=json.dumps(task), env=environment, capture_output=True, text=True)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BaseUnavailable(
            f"{model}: the process that tried it ended ({reason}), and one that extracts most likely would too; "
            "if the memory is full, use a smaller base or size"
        ) from error
    if "error" in answer:
        raise getattr(errors, answer["kind"], FeatstoreError)(answer["error"])
    return Trial(**answer)


def main() -> None:
    """Run the trial that standard input describes, and print what it found as the last line."""
    task = json.loads(sys.stdin.read())
    answer: dict[str, Any]
    try:
        answer = _try(**task)._asdict()
    except FeatstoreError as error:
        answer = {"kind": type(error).__name__, "error": str(error.args[0])}
    sys.stdout.write(f"{json.dumps(answer)}\n")


@pinned()
def _try(recipe: dict[str, Any], cache: str, engine: Any, paths: Sequence[str], images: int, began: float) -> Trial:
    """Measure every size of a recipe. `began` is when the process was started."""
    the_recipe, the_cache = Recipe(**recipe), Cache(cache, engine=engine)
    pictures = list_files(paths).pictures
    source, plan = the_recipe.source(), make_plan(the_recipe, the_cache.digests)
    paces, seconds = [], 0.0
    for part in plan.parts:
        expected = images * len(part.views)
        load = partial(load_encoder, source, [part.spec], expected, engine=the_cache.engine, folder=the_cache.local)
        paces.append(measure_pace(load, part, pictures, expected))
        seconds += paces[-1].seconds_for(expected)
    return Trial(
        engine=paces[0].engine,
        start=time.time() - began - sum(pace.spent for pace in paces),
        seconds=seconds,
        bytes=sum(pace.bytes for pace in paces),
        memory=peak_memory(),
    )


def measure_pace(load: Callable[[], Network], rows: PlannedRows, pictures: Sequence[Picture], most: int) -> Pace:
    """Measure how fast `rows` of `pictures` are read and computed: at the same time, as in an extraction.

    most: the number of rows of the extraction; it is in vain to measure for longer than that takes.

    The first picture is only for memory. Reading and computing take turns on the same cores, or the network is
    on a GPU: there is no need to know which. Files that come from a slow disk are read from memory the second time, so
    an image takes no less than it took the first time.
    """
    import numpy as np

    views, clock = len(rows.views), time.perf_counter
    largest, *sample = pictures
    _read([largest], rows)  # what is loaded for it belongs to the start
    began = clock()
    images = _read(sample, rows)
    first_reading = clock() - began
    if not images:
        raise DataError(f"{sample[0].path}: cannot be read, nor can any other image of the trial")
    network = load()
    batch = np.stack(list(islice(cycle(view for image in images for view in image), network.batch)))
    [first, *_] = network(batch)
    at_once = network.batch * network.calls
    number = at_once * math.ceil(FEWEST / at_once)
    files, computed, read, began = cycle(sample), 0, 0, clock()
    with ThreadPoolExecutor(network.calls) as threads:
        while computed < 2 * number or (computed < most and clock() - began < SECONDS):
            computed += number
            running = [threads.submit(network, batch) for _ in range(number // network.batch)]
            some = list(islice(files, computed // views - read))
            _read(some, rows)
            read += len(some)
            for each in running:
                each.result()
        elapsed = clock() - began
    return Pace(
        engine=network.engine,
        batch=network.batch,
        seconds=max(elapsed / computed, first_reading / len(sample) / views),
        bytes=float(first[0].size * np.dtype(rows.spec.dtype).itemsize * views),
        spent=first_reading + elapsed + elapsed / computed * network.batch,
    )


def _read(pictures: Sequence[Picture], rows: PlannedRows) -> list[NDArray[Any]]:
    """Return the views of those pictures that can be read."""
    reader = make_views_reader(rows.spec.reading, rows.views)
    fetched = fetch_all(pictures, reader, lambda digest: True, default_threads(), len(rows.views))
    return [item.pixels for item in fetched if item.pixels is not None]
