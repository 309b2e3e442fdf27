"""The jobs that people come for, joined from the stages: extract features, and load them.

The command line and the Python API both call these. Nothing here loads TensorFlow by itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore import extraction
from featstore.errors import DataError
from featstore.images.digests import DigestMemory
from featstore.images.manifest import Manifest, scan
from featstore.recipe import Recipe, make_encoder, resolve
from featstore.shelf import Task
from featstore.spec import LAST_ACTIVATION, FeatureSpec
from featstore.store.rowstore import RowStore
from featstore.versions import versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.extraction import Progress
    from featstore.features import Features

DEFAULT_CACHE = "cache"


@dataclass(frozen=True)
class FeatureSet:
    """The features of one recipe for one data set, complete in the cache."""

    recipe: Recipe
    spec: FeatureSpec
    folder: Path
    shape: tuple[int, ...]  # of one row
    images: int
    computed: int
    seconds: float

    def describe(self) -> dict[str, Any]:
        """As `featstore extract --json` prints it."""
        return {
            "key": self.spec.key,
            "model": self.recipe.model,
            "preprocess": self.recipe.preprocess,
            "size": [self.spec.reading.height, self.spec.reading.width],
            "layer": self.spec.layer,
            "pool": self.spec.pool,
            "shape": list(self.shape),
            "dtype": self.spec.dtype,
            "path": str(self.folder),
            "images": self.images,
            "computed": self.computed,
            "reused": self.images - self.computed,
            "seconds": round(self.seconds, 3),
        }


class Extraction(NamedTuple):
    """`manifest` has the images that have all their rows, with digests; the rest is in `manifest.skipped`."""

    manifest: Manifest
    features: tuple[FeatureSet, ...]


def cache_folder(cache: str | os.PathLike[str] | None) -> Path:
    """`cache`, or $FEATSTORE_CACHE, or `cache` in the working folder."""
    return Path(cache or os.environ.get("FEATSTORE_CACHE") or DEFAULT_CACHE)


def open_store(cache: Path, spec: FeatureSpec) -> RowStore:
    """The rows of `spec` in `cache`; raises StoreError if its folder belongs to something else."""
    return RowStore(cache / spec.folder, spec.key, spec.to_json(), versions)


def extract_features(
    data: str | os.PathLike[str] | Manifest,
    recipes: Sequence[Recipe],
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Extraction:
    """Complete the features of all `recipes` for all images of `data`; each image is decoded once per reading.

    Raises DataError if not one image can be read.
    """
    folder = cache_folder(cache)
    memory = DigestMemory(folder / "digests")
    manifest = data if isinstance(data, Manifest) else scan(data)
    specs = [resolve(recipe, memory) for recipe in recipes]
    stores = {spec.key: open_store(folder, spec) for spec in specs}
    by_reading: dict[Any, dict[str, tuple[Recipe, FeatureSpec]]] = {}
    for recipe, spec in zip(recipes, specs, strict=True):
        by_reading.setdefault(spec.reading, {}).setdefault(spec.key, (recipe, spec))
    computed: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for reading, wanted in by_reading.items():
        tasks = [_task(folder, recipe, spec, stores[key]) for key, (recipe, spec) in wanted.items()]
        outcome = extraction.run(manifest, tasks, reading.reader, memory, progress)
        manifest = outcome.manifest
        computed |= zip(wanted, outcome.computed, strict=True)
        seconds |= zip(wanted, outcome.seconds, strict=True)
    if not manifest.pictures:
        raise DataError(_none_readable(manifest))
    sets = [
        FeatureSet(
            recipe,
            spec,
            stores[spec.key].folder,
            stores[spec.key].row_shape or (),
            len(manifest),
            computed[spec.key],
            seconds[spec.key],
        )
        for recipe, spec in zip(recipes, specs, strict=True)
    ]
    return Extraction(manifest, tuple(sets))


def extract(
    data: str | os.PathLike[str] | Manifest,
    *,
    preprocess: str | Sequence[str] = "keras",
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Extraction:
    """Complete the features of `data` for one base and one or more preprocessing variants.

    `options` are the fields of `Recipe`: model, weights, alpha, size, fit, layer, pool, ...
    """
    variants = [preprocess] if isinstance(preprocess, str) else list(preprocess)
    return extract_features(data, [Recipe(preprocess=v, **options) for v in variants], cache, progress)


def load_features(
    manifest: Manifest,
    spec: FeatureSpec,
    *,
    split: str | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Features:
    """(X, y, ids) of the pictures of `manifest`, or of one split of it; raises StoreError if a row is not there.

    `manifest` is one that `extract` returned, so that its pictures have digests.
    """
    from featstore.features import gather

    pictures = manifest.pictures if split is None else manifest.of_split(split)
    return gather(pictures, open_store(cache_folder(cache), spec))


def _task(cache: Path, recipe: Recipe, spec: FeatureSpec, store: RowStore) -> Task:
    source = recipe.source()
    pools_maps = spec.layer != LAST_ACTIVATION or source.info is None or source.info.map_pools
    maps = _kept_maps(cache, spec) if spec.pool != "none" and pools_maps else None
    return Task(store, make_encoder(source, spec), spec.dtype, maps, _average if spec.pool == "avg" else _maximum)


def _kept_maps(cache: Path, spec: FeatureSpec) -> RowStore | None:
    """The store of the same features unpooled, if there is one that is as exact as `spec` asks for."""
    for dtype in dict.fromkeys(("float32", spec.dtype)):
        kept = replace(spec, pool="none", dtype=dtype)
        if (cache / kept.folder).is_dir():
            return open_store(cache, kept)
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
