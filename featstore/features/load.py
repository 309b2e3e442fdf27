"""The features of a data set that were extracted: in memory, or left on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featstore.datasets.manifest import Manifest
from featstore.spec import FeatureSpec

if TYPE_CHECKING:
    from featstore.features.arrays import Features, OpenFeatures
from featstore.extraction.cache import Cache, CacheLike


def load_features(
    manifest: Manifest,
    spec: FeatureSpec,
    *,
    split: str | None = None,
    cache: CacheLike = None,
) -> Features:
    """(X, y, ids) of the plain view of the pictures of `manifest`, or of one split of it.

    Raises StoreError if a row is not there.
    `manifest` is one that `extract` returned, so that its pictures have digests.
    """
    from featstore.features.arrays import gather

    pictures = manifest.pictures if split is None else manifest.of_split(split)
    return gather(pictures, Cache.at(cache).store(spec), spec.reading.plain)


def open_features(
    manifest: Manifest,
    spec: FeatureSpec,
    *,
    split: str | None = None,
    cache: CacheLike = None,
) -> OpenFeatures:
    """As `load_features`, but nothing is read until it is asked for: X may be larger than memory.

    X is of the dtype that the rows are stored in, float16 unless they need more; `load_features` widens to float32.
    """
    from featstore.features.arrays import open_rows

    pictures = manifest.pictures if split is None else manifest.of_split(split)
    return open_rows(pictures, Cache.at(cache).store(spec), spec.reading.plain)
