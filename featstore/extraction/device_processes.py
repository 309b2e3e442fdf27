"""Extraction on several devices of one machine: a process for each, and the claims of the cache share the work.

This process plans once and hands out the images whose rows are missing. It computes nothing itself, so it loads no
TensorFlow, unless a process has died and left something. Rows are those of one process: only where they are computed
differs, which is in no key.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import wait
from time import perf_counter

from featstore.bases.source import BATCH
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.splits import complete_splits
from featstore.datasets.summary import summarize
from featstore.errors import FeatstoreError, UnreadableImage, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.device_work import Advance, Done, Hold, Place, Tell, Work
from featstore.extraction.device_worker import Worker
from featstore.extraction.devices import CPU, Device, describe_devices
from featstore.extraction.pipeline import Extraction, extract_augmented, extract_planned
from featstore.extraction.plan import Plan, PlannedRows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.images.identity import may_be_deep
from featstore.images.levels import notes_on_levels
from featstore.images.prefetch import is_readable, read_file
from featstore.store.rowid import row_id
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

    rows, shares: rows computed, and the time of the networks, by key. seconds: until the work was done. dim: images
    that were read, if some of 16 bits use fewer.
    """

    def __init__(self, devices: Sequence[Device], cache: Cache, progress: Progress) -> None:
        self._devices, self._cache, self._progress = devices, cache, progress
        self._workers: list[Worker] = []
        self._rows: Counter[str] = Counter()
        self._shares: defaultdict[str, float] = defaultdict(float)
        self._seconds = 0.0
        self._dim: tuple[Picture, ...] = ()

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
        parts = [part for plan in plans for part in ([plan.augmented] if augmented else plan.parts) if part]
        missing = _lacking(manifest.pictures, parts, self._cache)
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
        self._follow(working, _Bar(self._progress, len(manifest), len(missing)))
        if any(worker.done and worker.done.is_dim for worker in working):
            self._dim = tuple(missing)
        self._seconds += perf_counter() - start
        self._cache.digests.refresh()

    def account(self, extraction: Extraction) -> Extraction:
        """Return `extraction` with what the processes have computed, and the seconds that they took."""
        features, rows, shares = [], Counter(self._rows), dict(self._shares)
        busy = sum(shares.values())
        for each in extraction.features:  # of several with one key, the first has computed its rows
            seconds = self._seconds * shares.pop(each.spec.key, 0.0) / busy if busy else 0.0
            computed = min(
                each.computed + rows.pop(each.spec.key, 0), each.rows
            )  # claims may fail: some were made twice
            features.append(replace(each, computed=computed, seconds=each.seconds + seconds))
        manifest = extraction.manifest
        if self._dim:
            notes = _notes(self._dim, extraction.plans)
            manifest = replace(manifest, notes=tuple(dict.fromkeys((*manifest.notes, *notes))))
        return replace(extraction, manifest=manifest, features=tuple(features))

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

    def _follow(self, working: Sequence[Worker], bar: _Bar) -> None:
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
                    self._add(told)
                if told is None or isinstance(told, Done):
                    left.remove(worker)
                else:
                    bar.show(told)

    def _add(self, done: Done) -> None:
        for key, (rows, seconds) in done.costs.items():
            self._rows[key] += rows
            self._shares[key] += seconds


class _Bar:
    """The progress of all processes as that of one job, which reads the images once or, of many bases, in several runs.

    An image may count twice, for the process that left it and for the one that took it up: no more are shown than
    there are.
    """

    def __init__(self, progress: Progress, total: int, missing: int) -> None:
        self._progress, self._total, self._missing = progress, total, missing
        self._run = self._shown = 0
        self._told: set[str] = set()

    def show(self, told: Advance | Hold | Tell) -> None:
        if isinstance(told, Advance):
            self._advance(told)
        elif isinstance(told, Hold):
            self._progress.hold()
        elif told.text not in self._told:
            self._told.add(told.text)
            self._progress.tell(told.text)

    def _advance(self, told: Advance) -> None:
        if told.run < self._run:
            return
        if told.run > self._run:
            self._run, self._shown = told.run, 0
            self._progress.start(self._total, reused=self._total - self._missing)
        images = min(told.images, self._missing - self._shown)
        self._shown += images
        for _ in range(images):
            self._progress.advance(computed=True)


def _lacking(pictures: Sequence[Picture], parts: Sequence[PlannedRows], cache: Cache) -> list[Picture]:
    """Return the pictures that lack a row, or whose digest is not remembered."""
    stores = [(cache.store(spec), views) for spec, views in parts]

    def is_complete(picture: Picture) -> bool:
        digest = cache.digests.get(picture.path, picture.stat)
        return digest is not None and all(row_id(digest, view) in store for store, views in stores for view in views)

    return [picture for picture in pictures if not is_complete(picture)]


def _notes(pictures: Sequence[Picture], plans: Sequence[Plan]) -> list[str]:
    """Return the notes on images of 16 bits: they are of all that were read, and a process knows its own alone."""
    from featstore.images.decode import brightest_level

    brightest = {}
    for picture in pictures:
        with suppress(UnreadableImage):
            raw = read_file(picture.path).raw
            if may_be_deep(raw) and (level := brightest_level(raw)) is not None:
                brightest[picture.path] = level
    readings = dict.fromkeys(part.spec.reading for plan in plans for part in plan.parts)
    return [note for reading in readings for note in notes_on_levels(brightest, reading)]
