"""Extraction on several devices of one machine: a process for each, and the claims of the cache share the work.

This process plans once and hands out the images whose rows are missing. It computes nothing itself, so it loads no
TensorFlow, unless a process has died and left something. Rows are those of one process: only where they are computed
differs, which is in no key.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from time import perf_counter

from featstore.bases.source import BATCH
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.splits import complete_splits
from featstore.datasets.summary import summarize
from featstore.errors import FeatstoreError, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.device_work import Done, Place, Work
from featstore.extraction.device_worker import Worker
from featstore.extraction.devices import CPU, Device, describe_devices
from featstore.extraction.divided import Costs, lacking
from featstore.extraction.pipeline import Extraction, extract_augmented, extract_planned, needed_rows
from featstore.extraction.plan import Plan, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.told import Bar
from featstore.images.prefetch import is_readable
from featstore.system.cores import share_cores
from featstore.system.pinned import pinned
from featstore.system.progress import Progress, Silent


@pinned()
def extract_on(
    devices: Sequence[Device],
    manifest: Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of `recipes` as `extract_all` does, with a process for each of `devices`.

    No process starts if nothing is missing. One that dies is named in a warning, and the others do its share; what is
    left after that is computed here. Rows of a process that died count as reused. Raises as `extract_all` does.
    """
    cache, progress = Cache.at(cache), progress or Silent()
    if cache.engine == "openvino" and (gpu := next((device for device in devices if device.gpu), None)):
        raise UsageError(f"{param('engine', 'openvino')}: cannot use {gpu}; leave it out, or name {CPU} devices alone")
    cache.digests.refresh()
    summarize(manifest).tell(progress)
    tell_assumptions(recipes, progress)
    plans = [make_plan(recipe, cache.digests) for recipe in recipes] if manifest.pictures else []
    with _Crew(devices, cache, progress).at_work() as crew:
        crew.complete(manifest, plans)
        extraction = extract_planned(manifest, plans, cache, progress)
        if any(plan.augmented for plan in plans):
            divided = complete_splits(extraction.manifest)
            crew.complete(divided.with_pictures(divided.of_split("train")), plans, augmented=True)
            augmented = extract_augmented(divided, plans, cache, progress)
            extraction = replace(extraction, features=(*extraction.features, *augmented))
    return crew.account(extraction)


class _Crew:
    """The processes, which start with the first work and stay until all of it is done.

    costs: what they have computed. seconds: until the work was done.
    """

    def __init__(self, devices: Sequence[Device], cache: Cache, progress: Progress) -> None:
        self._devices, self._cache, self._progress = devices, cache, progress
        self._workers: list[Worker] = []
        self._costs = Costs()
        self._seconds = 0.0

    @contextmanager
    def at_work(self) -> Iterator[_Crew]:
        """Leave the block when no process runs any more; their rows are stored, whatever ends it."""
        try:
            yield self
        finally:
            for worker in self._workers:
                worker.tell_to_stop()
            for worker in self._workers:
                worker.end()

    def complete(self, manifest: Manifest, plans: Sequence[Plan], augmented: bool = False) -> None:
        """Complete the rows of `plans` for the images of `manifest`, or their augmented rows."""
        missing = lacking(manifest.pictures, [rows for _, rows in needed_rows(plans, augmented)], self._cache)
        if len(missing) <= BATCH:  # a few files that cannot be read are lacking each time
            missing = [picture for picture in missing if is_readable(picture)]
        if not missing:
            return
        start = perf_counter()
        if not self._workers:
            self._start(missing)
        working = [worker for worker in self._workers if worker.is_alive]
        for number, worker in enumerate(working):
            first, last = (len(missing) * end // len(working) for end in (number, number + 1))
            mine, others = missing[first:last], missing[last:] + missing[:first]
            own, rest = (replace(manifest, pictures=tuple(some), skipped=()) for some in (mine, others))
            worker.begin(Work(own, rest, tuple(plans), augmented))
        self._follow(working, Bar(self._progress, len(manifest), len(missing)))
        self._seconds += perf_counter() - start
        self._cache.digests.refresh()

    def account(self, extraction: Extraction) -> Extraction:
        """Return `extraction` with what the processes have computed, and the seconds that they took."""
        return self._costs.account(extraction, self._seconds)

    def _start(self, missing: Sequence[Picture]) -> None:
        """Start a process for each device, but no more than there are batches."""
        devices = self._devices[: -(-len(missing) // BATCH)]
        cores = share_cores(len(devices))
        self._progress.tell(describe_devices(devices, cores))
        for device, mine in zip(devices, cores, strict=True):
            self._workers.append(Worker(Place(device, mine, self._cache_of(device))))

    def _cache_of(self, device: Device) -> Cache:
        """Return the cache for a process: on a GPU no engine is tried, since OpenVINO would compute on the cores."""
        cache = self._cache
        return cache if device.gpu is None else Cache(cache.folder, rehash=cache.rehash, engine="tensorflow")

    def _follow(self, working: Sequence[Worker], bar: Bar) -> None:
        """Wait until each process is done or has ended. Raises the first error that one of them tells."""
        left = list(working)
        while left:
            ready = wait([worker.connection for worker in left])
            for worker in [worker for worker in left if worker.connection in ready]:
                told = worker.listen()
                if isinstance(told, FeatstoreError):
                    raise told
                if told is None:
                    warnings.warn(worker.describe_end(), stacklevel=2)
                if isinstance(told, Done):
                    self._costs.add(told.costs)
                if told is None or isinstance(told, Done):
                    left.remove(worker)
                else:
                    bar.show(told)
