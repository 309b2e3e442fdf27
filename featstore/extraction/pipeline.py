"""The jobs that people come for, joined from the stages: extract features, and load them.

The command line and the Python API both call these. Nothing here loads TensorFlow by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Manifest, scan
from featstore.datasets.splits import complete_splits
from featstore.errors import DataError
from featstore.extraction import job
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.canary import Guard
from featstore.extraction.encoder import make_encoder
from featstore.extraction.plan import Plan, Rows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.writer import Task
from featstore.images.readers import make_views_reader
from featstore.spec import LAST_ACTIVATION, FeatureSpec
from featstore.store.reader import RowReader
from featstore.store.rowstore import RowStore
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.images.prefetch import Read
    from featstore.images.reading import Reading
    from featstore.system.progress import Progress


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """The features of one recipe at one size for one data set, complete in the cache.

    Attributes:
        recipe: The features as the user asked for them.
        spec: The same in full; names their folder in the cache.
        views: Numbers of the views of each image.
        folder: Where the rows are.
        shape: Shape of one row.
        images: Number of images.
        computed: Number of rows that the base computed just now.
        seconds: What that took.
        damaged: A line for each shard that was passed over.
    """

    recipe: Recipe
    spec: FeatureSpec
    views: tuple[int, ...]
    folder: Path
    shape: tuple[int, ...]
    images: int
    computed: int
    seconds: float
    damaged: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return self.images * len(self.views)

    @property
    def bytes(self) -> int:
        """What the rows take in the cache, shards' headers aside."""
        width = 1
        for side in self.shape:
            width *= side
        return self.rows * width * (2 if self.spec.dtype == "float16" else 4)

    def describe(self) -> dict[str, Any]:
        """As `featstore extract --json` prints it."""
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
            "path": str(self.folder),
            "images": self.images,
            "rows": self.rows,
            "computed": self.computed,
            "reused": self.rows - self.computed,
            "seconds": round(self.seconds, 3),
            "damaged": list(self.damaged),
        }


@dataclass(frozen=True)
class Extraction(Shown):
    """`manifest` has the images that have all their rows, with digests; the rest is in `manifest.skipped`.

    `features` has one entry for each size of each of the `plans`, in order.
    """

    manifest: Manifest
    features: tuple[FeatureSet, ...]
    plans: tuple[Plan, ...]

    def parts(self) -> Iterator[Table]:
        """Yield a row for each set of features; sizes and rows are shown where they differ from what is obvious."""
        several = any(f.rows != f.images for f in self.features)
        sizes = len({(f.spec.reading.height, f.spec.reading.width) for f in self.features}) > 1
        header = ["preprocess", *(["size"] if sizes else []), "images", *(["rows"] if several else [])]
        rows = []
        for f in self.features:
            size = f"{f.spec.reading.height}x{f.spec.reading.width}"
            row = [f.recipe.preprocess, *([size] if sizes else []), str(f.images), *([str(f.rows)] if several else [])]
            shape = "x".join(map(str, f.shape))
            rows.append([*row, str(f.computed), str(f.rows - f.computed), shape, f"{f.seconds:.1f}", str(f.folder)])
        yield Table([*header, "computed", "reused", "shape", "seconds", "path"], rows)


def extract_features(
    data: str | os.PathLike[str] | Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of all `recipes` for all images of `data`; each is decoded once per reading and base.

    Augmented versions are not among them: they need splits, see `extract_augmented`. Raises DataError if not one image
    can be read.
    """
    cache = Cache.at(cache)
    cache.digests.refresh()
    manifest = data if isinstance(data, Manifest) else scan(data)
    if not manifest.pictures:  # before weights are loaded, or fetched, for nothing
        raise DataError(_none_readable(manifest))
    plans = tuple(make_plan(recipe, cache.digests) for recipe in recipes)
    wanted = [(plan.recipe, part) for plan in plans for part in plan.parts]
    manifest, features = _complete(manifest, wanted, cache, progress)
    if not manifest.pictures:
        raise DataError(_none_readable(manifest))
    return Extraction(manifest, features, plans)


def extract_augmented(
    manifest: Manifest,
    plans: Sequence[Plan],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> tuple[FeatureSet, ...]:
    """Complete the augmented versions of the training images of `manifest` where `plans` ask for them."""
    wanted = [(plan.recipe, plan.augmented) for plan in plans if plan.augmented]
    if not wanted:
        return ()
    training = manifest.with_pictures(manifest.of_split("train"))
    complete, features = _complete(training, wanted, Cache.at(cache), progress)
    if len(complete) < len(training):
        path, reason = complete.skipped[-1]
        raise DataError(f"{path}: was read a moment ago and cannot be augmented now: {reason}; run the command again")
    return features


def _complete(
    manifest: Manifest,
    wanted: Sequence[tuple[Recipe, Rows]],
    cache: Cache,
    progress: Progress | None,
) -> tuple[Manifest, tuple[FeatureSet, ...]]:
    """Complete all `wanted` rows, one run of the extraction for each reading and base, which decodes each image once.

    Base by base, so that a grid of many holds one in memory at a time; to decode again costs little beside a base.
    Of recipes that come to the same spec, such as `keras` and `tf`, the first does the work and has it on its account.
    """
    stores = {rows.spec.key: cache.store(rows.spec) for _, rows in wanted}
    runs: dict[tuple[Reading, str], dict[FeatureSpec, tuple[Recipe, set[int]]]] = {}
    for recipe, (spec, views) in wanted:
        runs.setdefault((spec.reading, spec.weights), {}).setdefault(spec, (recipe, set()))[1].update(views)
    made: dict[FeatureSpec, tuple[int, float]] = {}
    for (reading, _), specs in runs.items():
        tasks = [
            _task(cache, recipe, Rows(spec, tuple(sorted(views))), stores[spec.key])
            for spec, (recipe, views) in specs.items()
        ]
        outcome = job.run(manifest, tasks, partial(make_views_reader, reading), cache.digests, progress)
        manifest = outcome.manifest
        made |= zip(specs, zip(outcome.computed, outcome.seconds, strict=True), strict=True)
    sets = []
    for recipe, (spec, views) in wanted:
        store = stores[spec.key]
        computed, seconds = made.pop(spec, (0, 0.0))
        sets.append(
            FeatureSet(
                recipe=recipe,
                spec=spec,
                views=views,
                folder=store.folder,
                shape=store.row_shape or (),
                images=len(manifest),
                computed=computed,
                seconds=seconds,
                damaged=tuple(store.damaged),
            )
        )
    return manifest, tuple(sets)


def extract_all(
    data: str | os.PathLike[str] | Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of `recipes`, augmented versions of the training images among them."""
    extraction = extract_features(data, recipes, cache, progress)
    if not any(plan.augmented for plan in extraction.plans):
        return extraction
    augmented = extract_augmented(complete_splits(extraction.manifest), extraction.plans, cache, progress)
    return replace(extraction, features=(*extraction.features, *augmented))


def _task(cache: Cache, recipe: Recipe, rows: Rows, store: RowStore) -> Task:
    source, spec = recipe.source(), rows.spec
    pools_maps = spec.layer != LAST_ACTIVATION or source.info is None or source.info.map_pools
    maps = _kept_maps(cache, spec) if spec.pool != "none" and pools_maps else None
    pool = _average if spec.pool == "avg" else _maximum
    guard = Guard(store, _plain_reader(spec.reading), make_encoder(source, spec))
    return Task(store, guard, spec.dtype, maps, pool, rows.views, guard.canary)


def _plain_reader(reading: Reading) -> Read:
    """Reads one view, the same for all who use a key, whichever of its views they ask for; nothing is loaded yet.

    Of augmented versions, which count from 1, it is number 0: no image of a data set has it.
    """
    return lambda raw: make_views_reader(reading, (reading.plain,))(raw)


def _kept_maps(cache: Cache, spec: FeatureSpec) -> RowReader | None:
    """The store of the same features unpooled, if there is one that is as exact as `spec` asks for."""
    for dtype in dict.fromkeys(("float32", spec.dtype)):
        kept = replace(spec, pool="none", dtype=dtype)
        if (cache.folder / kept.folder).is_dir():
            return cache.store(kept)
    return None


def _average(maps: NDArray[Any]) -> NDArray[np.float32]:
    averaged: NDArray[np.float32] = maps.mean(axis=(1, 2), dtype="float32")
    return averaged


def _maximum(maps: NDArray[Any]) -> NDArray[np.float32]:
    largest: NDArray[np.float32] = maps.max(axis=(1, 2)).astype("float32")
    return largest


def _none_readable(manifest: Manifest) -> str:
    if not manifest.skipped:
        return f"{manifest.source or 'no paths given'}: no image files found"
    path, reason = manifest.skipped[0]
    return f"{manifest.source}: none of {len(manifest.skipped)} files could be read; the first: {path}: {reason}"
