"""Extraction from end to end: plan the rows, run the base over the images that lack them, and describe the result.

The command line and the Python API both call these functions. TensorFlow loads only if a row is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.bases.pooling import pool_map
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import as_manifest
from featstore.datasets.splits import complete_splits
from featstore.datasets.summary import summarize
from featstore.errors import DataError
from featstore.extraction import job
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.canary import TOLERANCES, Guard, Pooling, canary_pixels
from featstore.extraction.derived import derive_from
from featstore.extraction.encoder import load_encoder
from featstore.extraction.passes import Pass
from featstore.extraction.plan import Plan, PlannedRows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.writer import Task
from featstore.images.levels import notes_on_levels
from featstore.images.readers import make_shared_reader, make_views_reader
from featstore.objects.urls import Location
from featstore.spec import POOLS, FeatureSpec
from featstore.store.rowid import row_ids
from featstore.store.rowstore import RowStore
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.system.progress import Silent
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.bases.source import BaseSource
    from featstore.datasets.digests import DigestMemory
    from featstore.engines.network import Network
    from featstore.images.levels import Brightest
    from featstore.images.prefetch import Read
    from featstore.images.reading import Reading
    from featstore.system.progress import Progress

MOST_PARAMETERS = 1e8  # of the networks in memory together, 400 MB of weights

Needed = tuple[Recipe, PlannedRows]
LoadEncoder = Callable[..., "Network"]  # as `load_encoder`


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """The features of one recipe at one size for one data set, complete in the cache.

    Attributes:
        recipe: The options of the features, as the user wrote them.
        spec: All that determines their values; its key names the folder in the cache.
        views: Numbers of the views of each image.
        folder: Folder of the rows.
        shape: Shape of one row.
        images: Number of images.
        bytes: Size of the rows as they are stored, uncompressed. A row that float16 cannot hold is stored as float32.
        computed: Number of rows that the base computed in this extraction; the others were stored before.
        seconds: Time of this extraction.
        damaged: A line for each shard that cannot be used.
    """

    recipe: Recipe
    spec: FeatureSpec
    views: tuple[int, ...]
    folder: Location
    shape: tuple[int, ...]
    images: int
    bytes: int
    computed: int
    seconds: float
    damaged: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows: images x views."""
        return self.images * len(self.views)

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values, as `featstore extract --json` prints them."""
        return {
            "key": self.spec.key,
            "model": self.recipe.model,
            "preprocess": self.recipe.preprocess,
            "size": [self.spec.reading.height, self.spec.reading.width],
            "views": self.recipe.views,
            "layer": self.spec.layer,
            "pool": self.spec.pool,
            "shape": list(self.shape),
            "dtype": self.spec.dtype,
            "precision": self.spec.precision,
            "path": str(self.folder),
            "images": self.images,
            "rows": self.rows,
            "bytes": self.bytes,
            "computed": self.computed,
            "reused": self.rows - self.computed,
            "seconds": round(self.seconds, 3),
            "damaged": list(self.damaged),
        }


@dataclass(frozen=True, repr=False)
class Extraction(Shown):
    """The result of an extraction; `print` shows it as a table.

    Attributes:
        manifest: The images that have all their rows, with digests. `manifest.skipped` lists the other files, with
            reasons.
        features: A set for each size of each recipe, then one for each recipe with augmented versions.
        plans: The rows of each recipe.
        brightest: The brightest level of each image of 16 bits that was decoded in this extraction, by path.
    """

    manifest: Manifest
    features: tuple[FeatureSet, ...]
    plans: tuple[Plan, ...]
    brightest: Mapping[str, Brightest] = field(default_factory=dict)

    def parts(self) -> Iterator[Table]:
        """Yield the table: a row for each set of features. Columns of options and rows appear only if they differ."""
        several = any(f.rows != f.images for f in self.features)
        told = [_told(f) for f in self.features]
        differing = [name for name in (told[0] if told else {}) if len({one[name] for one in told}) > 1]
        header = ["preprocess", *differing, "images", *(["rows"] if several else [])]
        rows = []
        for f, one in zip(self.features, told, strict=True):
            row = [f.recipe.preprocess, *(one[name] for name in differing), str(f.images)]
            row += [str(f.rows)] if several else []
            shape = "x".join(map(str, f.shape))
            rows.append([*row, str(f.computed), str(f.rows - f.computed), shape, f"{f.seconds:.1f}", str(f.folder)])
        yield Table([*header, "computed", "reused", "shape", "seconds", "path"], rows)


def _told(features: FeatureSet) -> dict[str, str]:
    """Return the options that a table tells where they differ."""
    recipe, spec = features.recipe, features.spec
    return {
        "model": Path(recipe.model).name,
        "size": f"{spec.reading.height}x{spec.reading.width}",
        "layer": spec.layer,
        "pool": spec.pool,
        "precision": spec.precision,
    }


@pinned()
def extract_features(
    data: OnePath | Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of all `recipes` for all images of `data`, reading each image once.

    Augmented versions are not included, since they need splits: see `extract_augmented`. Raises DataError if no image
    can be read.
    """
    cache = Cache.at(cache)
    cache.digests.refresh()
    manifest = as_manifest(data)
    if not manifest.pictures:  # before weights are loaded or downloaded in vain
        raise DataError(_none_readable(manifest))
    return extract_planned(manifest, [make_plan(recipe, cache.digests) for recipe in recipes], cache, progress)


@pinned()
def extract_planned(
    manifest: Manifest,
    plans: Sequence[Plan],
    cache: Cache,
    progress: Progress | None = None,
    memory: DigestMemory | None = None,
) -> Extraction:
    """Complete the rows of `plans` for all images of `manifest`. The weights are read only if a row is missing.

    Raises BaseUnavailable then, if they are not there or not those of the plans; DataError if no image can be read.

    memory: the digests of files, if not those of the cache.
    """
    if not manifest.pictures:
        raise DataError(_none_readable(manifest))
    done = complete_rows(manifest, needed_rows(plans), cache, progress, memory=memory)
    if not done.manifest.pictures:
        raise DataError(_none_readable(done.manifest))
    return Extraction(done.manifest, done.features, tuple(plans), done.brightest)


@pinned()
def extract_augmented(
    manifest: Manifest,
    plans: Sequence[Plan],
    cache: CacheLike = None,
    progress: Progress | None = None,
    memory: DigestMemory | None = None,
) -> tuple[FeatureSet, ...]:
    """Complete the augmented versions of the training images of `manifest`, for each of `plans` that has them.

    Raises DataError if an image cannot be read any more.

    memory: the digests of files, if not those of the cache.
    """
    needed = needed_rows(plans, augmented=True)
    if not needed:
        return ()
    training = manifest.with_pictures(manifest.of_split("train"))
    done = complete_rows(training, needed, Cache.at(cache), progress, memory=memory)
    if len(done.manifest) < len(training):
        raise DataError(lost_before_augmenting(*done.manifest.skipped[-1]))
    return done.features


def lost_before_augmenting(path: str, reason: str) -> str:
    """Return the message of the error about an image that has gone since its plain rows were made."""
    return f"{path}: was read before and cannot be augmented now: {reason}; run the same command again"


def needed_rows(plans: Sequence[Plan], augmented: bool = False) -> list[Needed]:
    """Return the rows of `plans` that every image needs, or the augmented ones, for training images."""
    if augmented:
        return [(plan.recipe, plan.augmented) for plan in plans if plan.augmented]
    return [(plan.recipe, part) for plan in plans for part in plan.parts]


class Completed(NamedTuple):
    """The result of `complete_rows`: the images that have their rows, and a set of features for each that is needed.

    Files that cannot be read are in `manifest.skipped`. brightest: as in `Extraction`.
    """

    manifest: Manifest
    features: tuple[FeatureSet, ...]
    brightest: dict[str, Brightest]


@pinned()
def complete_rows(
    manifest: Manifest,
    needed: Sequence[Needed],
    cache: Cache,
    progress: Progress | None = None,
    *,
    memory: DigestMemory | None = None,
    load: LoadEncoder = load_encoder,
) -> Completed:
    """Complete all `needed` rows, reading each image once for all bases that fit into memory together.

    Several recipes may have the same spec, such as `keras` and `tf`: the rows count as computed for the first.

    memory: the digests of files, if not those of the cache. load: what loads a base, if not `load_encoder`.
    """
    stores = {rows.spec.key: cache.store(rows.spec) for _, rows in needed}
    costs: dict[FeatureSpec, tuple[int, float]] = {}  # rows computed, and seconds
    brightest: dict[str, Brightest] = {}
    runs = group_into_runs(needed)
    for number, run in enumerate(runs, start=1):
        passes = [_pass(cache, rows, stores, progress or Silent(), load) for rows in run]
        title = title_of(run, number, len(runs))
        outcome = job.run(manifest, passes, make_shared_reader, memory or cache.digests, progress, title=title)
        manifest = outcome.manifest
        brightest |= outcome.brightest
        readings = dict.fromkeys(rows.spec.reading for of_pass in run for _, rows in of_pass)
        notes = [note for reading in readings for note in notes_on_levels(outcome.brightest, reading)]
        if notes:
            manifest = replace(manifest, notes=tuple(dict.fromkeys((*manifest.notes, *notes))))
        specs = [rows.spec for of_pass in run for _, rows in of_pass]
        costs |= dict(zip(specs, zip(outcome.computed, outcome.seconds, strict=True), strict=True))
    sets, digests = [], [picture.digest for picture in manifest.pictures]
    for recipe, (spec, views) in needed:
        store = stores[spec.key]
        computed, seconds = costs.pop(spec, (0, 0.0))
        sets.append(
            FeatureSet(
                recipe=recipe,
                spec=spec,
                views=views,
                folder=store.folder,
                shape=store.row_shape or (),
                images=len(manifest),
                bytes=store.bytes_of([row for view in views for row in row_ids(digests, view)]),
                computed=computed,
                seconds=seconds,
                damaged=tuple(store.damaged),
            )
        )
    return Completed(manifest, tuple(sets), brightest)


def group_into_runs(needed: Sequence[Needed]) -> list[list[list[Needed]]]:
    """Return the passes of each run, and the rows of each pass, with the views of one spec joined.

    A pass is what one network makes of the same pixels. A run reads each image once, for as many networks as may be in
    memory together.
    """
    joined: dict[FeatureSpec, tuple[Recipe, set[int]]] = {}
    for recipe, (spec, views) in needed:
        joined.setdefault(spec, (recipe, set()))[1].update(views)
    passes: dict[Hashable, list[Needed]] = {}
    for spec, (recipe, numbers) in joined.items():
        pools_inside = spec.pool if not recipe.source(must_exist=False).pools_maps(spec.layer) else "none"
        network = spec.reading, spec.weights, spec.preprocessing, spec.precision, pools_inside
        passes.setdefault(network, []).append((recipe, PlannedRows(spec, tuple(sorted(numbers)))))
    runs: list[list[list[Needed]]] = []
    free = 0.0
    for rows in passes.values():
        taken = _parameters(rows[0][0])
        if not runs or taken > max(0, free):
            runs.append([])
            free = MOST_PARAMETERS
        runs[-1].append(rows)
        free -= taken
    return runs


def _parameters(recipe: Recipe) -> float:
    """Return the parameters of a base; a user's network counts as a large one."""
    source = recipe.source(must_exist=False)
    return source.info.parameters if source.info else 0 if source.is_pixels else MOST_PARAMETERS


def title_of(run: Sequence[Sequence[Needed]], number: int, runs: int) -> str:
    """Name the bases of a run, and the sizes at which they see the images; nothing if it is the only one."""
    if runs == 1:
        return ""
    sizes: dict[str, list[str]] = {}
    for (recipe, (spec, _)), *_others in run:
        sizes.setdefault(recipe.model, []).append(f"{spec.reading.height}x{spec.reading.width}")
    bases = "; ".join(f"{model} at {', '.join(dict.fromkeys(of_model))} px" for model, of_model in sizes.items())
    return f"{bases}, {number} of {runs}"


def extract_all(
    data: OnePath | Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of `recipes`, including augmented versions of the training images.

    Raises DataError if no image can be read.
    """
    manifest = as_manifest(data)
    summarize(manifest).tell(progress)
    tell_assumptions(recipes, progress)
    extraction = extract_features(manifest, recipes, cache, progress)
    if not any(plan.augmented for plan in extraction.plans):
        return extraction
    augmented = extract_augmented(complete_splits(extraction.manifest), extraction.plans, cache, progress)
    return replace(extraction, features=(*extraction.features, *augmented))


def _pass(
    cache: Cache, needed: Sequence[Needed], stores: Mapping[str, RowStore], progress: Progress, load: LoadEncoder
) -> Pass:
    """Return the pass of rows that one network makes of the same pixels."""
    recipe, (spec, _) = needed[0]
    source, specs = recipe.source(must_exist=False), [rows.spec for _, rows in needed]
    tasks = [_task(cache, source, rows, stores[rows.spec.key]) for _, rows in needed]

    def load_for(images: int) -> Network:
        return load(source, specs, images, engine=cache.engine, folder=cache.local, tell=progress.tell)

    return Pass(tasks, load_for, spec.reading, lambda: canary_pixels(_plain_reader(spec.reading)))


def _task(cache: Cache, source: BaseSource, rows: PlannedRows, store: RowStore) -> Task:
    spec = rows.spec
    are_pooled = spec.pool == "none" and source.pools_maps(spec.layer)
    pools: dict[str, Pooling] = {pool: partial(pool_map, pool=pool) for pool in POOLS if are_pooled and pool != "none"}
    guard = Guard(store, pools=pools, tolerance=TOLERANCES[spec.precision])
    derive = derive_from(cache, source, spec, guard.check_other)
    return Task(store, spec.dtype, derive, rows.views, guard.check, guard.canary)


def _plain_reader(reading: Reading) -> Read:
    """Return a reader of one view, the same for all users of a key, whichever views they need. Nothing loads yet.

    For augmented versions, which are numbered from 1, the view is 0: no image of a data set has it.
    """
    return lambda raw: make_views_reader(reading, (reading.plain,))(raw)


def _none_readable(manifest: Manifest) -> str:
    if not manifest.skipped:
        return f"{manifest.source or 'no paths given'}: no image files found"
    path, reason = manifest.skipped[0]
    return f"{manifest.source}: none of {len(manifest.skipped)} files can be used; the first: {path}: {reason}"
