"""Extraction on Ray: the driver plans once, workers on the nodes of the cluster complete the rows, the driver accounts.

Rows are those of a plain extraction under the same key: only where they are computed differs. The store is the
checkpoint, so the same command goes on where one was stopped. This process decodes no image and loads no base.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from time import perf_counter

from featstore.cluster.digest_notes import ToldDigests
from featstore.cluster.options import ClusterOptions
from featstore.cluster.questions import AskAll, Questions
from featstore.cluster.rounds import Round, Site
from featstore.cluster.session import connected
from featstore.cluster.work import Answer, Task
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.splits import complete_splits
from featstore.datasets.summary import summarize
from featstore.errors import DataError, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.divided import Costs, lacking
from featstore.extraction.pipeline import (
    Extraction,
    Needed,
    extract_augmented,
    extract_planned,
    group_into_runs,
    lost_before_augmenting,
    needed_rows,
    title_of,
)
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.told import Bar
from featstore.objects.urls import absolute
from featstore.system.pinned import pinned
from featstore.system.progress import Progress, Silent


@pinned()
def extract_on_ray(
    options: ClusterOptions,
    manifest: Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of `recipes` as `extract_all` does, by workers on Ray.

    Ray starts only if something is missing. A worker that computes other values than the key has is named in a warning
    and gets no more work, with all of its node. A file that ends each process that reads it is skipped. Raises as
    `extract_all` does; UsageError also for more workers than fit, and for a cache that no other process sees;
    ClusterUnavailable if Ray cannot be reached.
    """
    cache, progress = Cache.at(cache), progress or Silent()
    if str(cache.folder).startswith("memory:"):
        shown = param("cache", str(cache.folder))
        raise UsageError(f"{shown}: is in the memory of this process, and the workers of {param('ray')} are others")
    cache.digests.refresh()
    summarize(manifest).tell(progress)
    tell_assumptions(recipes, progress)
    plans = [make_plan(recipe, cache.digests) for recipe in recipes] if manifest.pictures else []
    with _Driver(options, cache, progress).at_work() as driver:
        manifest = driver.complete(manifest, needed_rows(plans))
        extraction = extract_planned(manifest, plans, cache, progress, driver.memory)
        if any(plan.augmented for plan in plans):
            divided = complete_splits(extraction.manifest)
            training = divided.with_pictures(divided.of_split("train"))
            done = driver.complete(training, needed_rows(plans, augmented=True))
            if len(done) < len(training):
                raise DataError(lost_before_augmenting(*done.skipped[-1]))
            augmented = extract_augmented(divided, plans, cache, progress, driver.memory)
            extraction = replace(extraction, features=(*extraction.features, *augmented))
    return driver.costs.account(extraction, driver.seconds)


class _Driver:
    """What this process knows of the job.

    memory: the digests of files. costs: what the workers have computed. seconds: until their work was done.
    """

    def __init__(self, options: ClusterOptions, cache: Cache, progress: Progress) -> None:
        self._options, self._cache, self._progress = options, cache, progress
        self._session = ExitStack()
        self._site: Site | None = None
        self.memory = ToldDigests(cache)
        self.costs = Costs()
        self.seconds = 0.0

    @contextmanager
    def at_work(self) -> Iterator[_Driver]:
        """Leave the block when no worker runs any more, and no Ray that was started here."""
        try:
            with self._session:
                yield self
        finally:
            self.memory.save()

    def complete(self, manifest: Manifest, needed: Sequence[Needed]) -> Manifest:
        """Complete the rows that are `needed`; return the manifest with digests, and with more skipped files.

        Workers hold as many bases as fit into memory together: the others follow in a run of their own.
        """
        runs = group_into_runs(needed)
        for number, run in enumerate(runs, start=1):
            rows = tuple(each for of_pass in run for each in of_pass)
            missing = lacking(manifest.pictures, [part for _, part in rows], self._cache, self.memory)
            if missing:
                start = perf_counter()
                manifest = self._ask(manifest, rows, missing, title_of(run, number, len(runs)))
                self.seconds += perf_counter() - start
        return manifest

    def _ask(self, manifest: Manifest, rows: tuple[Needed, ...], missing: Sequence[Picture], title: str) -> Manifest:
        """Have the workers complete `rows` of the pictures that lack some."""
        site = self._site or self._open()
        if title:
            self._progress.tell(title)
        bar = Bar(self._progress, len(manifest), len(missing))
        paths = {absolute(picture.path): picture.path for picture in missing}
        digests = self.memory.get_all((picture.path, picture.stat) for picture in missing)
        asked = [
            Picture(absolute(picture.path), picture.stat, known_digest=digest)
            for picture, digest in zip(missing, digests, strict=True)
        ]
        task = Task(
            self._cache_of_workers(site.crew.gpus),
            tuple((recipe.at_absolute_paths(), part) for recipe, part in rows),
            site.crew.threads,
            len(missing) // site.crew.workers,
        )

        def take(answer: Answer) -> None:
            for picture, grain in answer.seen:
                self.memory.take(picture._replace(path=paths[picture.path]), grain)
            if answer.costs:
                self.costs.add(answer.costs)

        ask_all: AskAll = lambda blocks, settle: Round(site, task, self._progress, bar).run(blocks, settle)  # noqa: E731
        questions = Questions(asked, site.crew.workers)
        questions.ask(ask_all, take)
        done = {paths[path]: picture for path, picture in questions.done.items()}
        lost = {paths[skipped.path] for skipped in questions.skipped}
        complete = [
            picture._replace(stat=done[picture.path].stat, known_digest=done[picture.path].digest)
            if picture.path in done
            else picture
            for picture in manifest.pictures
            if picture.path not in lost
        ]
        skipped = [each._replace(path=paths[each.path]) for each in questions.skipped]
        return manifest.with_pictures(complete, skipped)

    def _open(self) -> Site:
        """Connect to Ray, or start it, and find out how many workers fit."""
        self._session.enter_context(connected(self._options.address))
        self._site = Site(self._options)
        crew = self._site.crew
        self._progress.tell(f"Ray: {crew}")
        return self._site

    def _cache_of_workers(self, gpus: float) -> Cache:
        """Return the cache by a name that holds everywhere; on GPUs no engine is tried that would use the cores."""
        engine = "tensorflow" if gpus else self._cache.engine
        return Cache(str(self._cache.folder.absolute()), engine=engine)
