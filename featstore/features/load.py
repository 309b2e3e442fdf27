"""Loading the features of a data set that were extracted: into memory, or as an array on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from featstore.datasets.manifest import SPLITS, Manifest, Picture
from featstore.errors import DataError, UsageError, param
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
        cache: Folder or URL of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.

    Returns:
        X, y, ids: features (n, ...) float32, labels (n,) and digests (n,), in the order of the manifest.

    Raises:
        UsageError: If `manifest` is none, or if there is no such split.
        DataError: If no image of the manifest is in the split.
        StoreError: If an image has no features in the cache, or if they cannot be read.
    """
    from featstore.features.arrays import gather

    return gather(pictures_of(manifest, split), Cache.at(cache).store(spec), spec.reading.plain)


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
        cache: Folder or URL of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.

    Returns:
        X, y, ids: features as a StoredArray (n, ...), labels (n,) and digests (n,), in the order of the manifest. X has
        the dtype of the stored rows, float16 or float32; `load_features` converts it to float32.

    Raises:
        UsageError: If `manifest` is none, or if there is no such split.
        DataError: If no image of the manifest is in the split.
        StoreError: If an image has no features in the cache.
    """
    from featstore.features.arrays import open_rows

    return open_rows(pictures_of(manifest, split), Cache.at(cache).store(spec), spec.reading.plain)


def pictures_of(manifest: Manifest, split: str | None) -> Sequence[Picture]:
    """Return the images of `split`, or all; raises an error rather than return none."""
    if not isinstance(manifest, Manifest):
        raise UsageError(
            f"{param('manifest')}: expected a Manifest, as in extract(...).manifest, found {type(manifest).__name__}"
        )
    if split is None:
        return manifest.pictures
    if split not in SPLITS:
        raise UsageError(f"{param('split', split)}: is not known: use one of {', '.join(SPLITS)}")
    pictures = manifest.of_split(split)
    if not pictures:
        there = sorted({p.split for p in manifest.pictures if p.split}, key=SPLITS.index)
        remedy = f"there are {' and '.join(there)}" if there else "make splits with complete_splits(manifest)"
        raise DataError(f"{manifest.source}: none of its {len(manifest)} images is in the split {split!r}; {remedy}")
    return pictures
