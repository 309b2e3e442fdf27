"""Loading the features of a data set that were extracted: into memory, or as an array on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featstore.datasets.manifest import Manifest
from featstore.extraction.cache import Cache, CacheLike
from featstore.spec import FeatureSpec

if TYPE_CHECKING:
    from featstore.features.arrays import Features, OpenFeatures


def load_features(
    manifest: Manifest,
    spec: FeatureSpec,
    *,
    split: str | None = None,
    cache: CacheLike = None,
) -> Features:
    """Return the features of the plain view of each image: the whole image, or the centre crop.

    Args:
        manifest: The images, from `extract(...).manifest`, so that their digests are known.
        spec: The features, from `extract(...).features`.
        split: Only images of this split: train, val or test. Default: all images.
        cache: Folder of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.

    Returns:
        X, y, ids: features (n, ...) float32, labels (n,) and digests (n,), in the order of the manifest.

    Raises:
        StoreError: If an image has no features in the cache, or if they cannot be read.
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
    """Return the features of the plain view of each image without reading them. They may be larger than memory.

    Args:
        manifest: The images, from `extract(...).manifest`, so that their digests are known.
        spec: The features, from `extract(...).features`.
        split: Only images of this split: train, val or test. Default: all images.
        cache: Folder of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.

    Returns:
        X, y, ids: features as a StoredArray (n, ...), labels (n,) and digests (n,), in the order of the manifest. X has
        the dtype of the stored rows, float16 or float32; `load_features` converts it to float32.

    Raises:
        StoreError: If an image has no features in the cache.
    """
    from featstore.features.arrays import open_rows

    pictures = manifest.pictures if split is None else manifest.of_split(split)
    return open_rows(pictures, Cache.at(cache).store(spec), spec.reading.plain)
