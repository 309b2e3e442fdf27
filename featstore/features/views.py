"""The input of a head: the rows of each image in all its views, from one base or several."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.errors import UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan, PlannedRows
from featstore.features.arrays import gather_views, stored_rows
from featstore.features.stored_array import StoredArray
from featstore.store.reader import RowReader

BLOCK_BYTES = 256 * 2**20


def load_in_blocks(
    pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache, most_bytes: int = BLOCK_BYTES
) -> Iterator[NDArray[np.float32]]:
    """Yield what `load_views` returns, a block of pictures at a time.

    most_bytes: size of a block at most, but at least one picture. Raises as `load_views` does.
    """
    bases = _open([plan.parts for plan in plans], cache)
    at_once = max(1, most_bytes // (4 * max(1, _numbers(bases))))
    for start in range(0, len(pictures), at_once):
        yield _concatenate(pictures[start : start + at_once], bases)


def bytes_in_memory(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache) -> int:
    """Return the bytes of what `load_views` and, for training images, `load_augmented` return."""
    views = _numbers(_open([plan.parts for plan in plans], cache))
    augmented = _numbers(_open([(plan.augmented,) for plan in plans if plan.augmented], cache))
    return 4 * (views * len(pictures) + augmented * sum(picture.split == "train" for picture in pictures))


def load_views(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache) -> NDArray[np.float32]:
    """Return (n, views, ...) rows of `pictures`; the rows of several bases are flattened and concatenated.

    Raises StoreError if a row is not in the cache, UsageError if the bases do not have the same number of views.
    """
    return _concatenate(pictures, _open([plan.parts for plan in plans], cache))


def load_plain(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache) -> NDArray[np.float32]:
    """Return (n, width) features in the plain view; maps are averaged over their positions, a block at a time.

    Raises as `load_views` does.
    """
    blocks = [np.empty((0, 0), np.float32)] * (not pictures)
    for rows in load_in_blocks(pictures, plans, cache):
        plain = rows[:, plans[0].plain]
        blocks.append(plain.mean(axis=(1, 2)) if plain.ndim == 4 else plain.reshape(len(plain), -1))
    return np.concatenate(blocks)


def load_augmented(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache) -> NDArray[np.float32] | None:
    """Return (n, versions, ...) rows of training `pictures`; None if `plans` have no augmented versions."""
    augmented = [(plan.augmented,) for plan in plans if plan.augmented]
    return _concatenate(pictures, _open(augmented, cache)) if augmented else None


def open_views(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache) -> list[list[StoredArray]]:
    """Return the rows of `load_views` without reading them: for each view those of each base. Raises as it does."""
    return _opened(pictures, _open([plan.parts for plan in plans], cache))


def open_augmented(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache) -> list[list[StoredArray]]:
    """Return the rows of `load_augmented` without reading them, as `open_views` does; none without such versions."""
    return _opened(pictures, _open([(plan.augmented,) for plan in plans if plan.augmented], cache))


_Base = list[tuple[RowReader, tuple[int, ...]]]  # the stores of one base, each with the numbers of the views


def _open(bases: Sequence[Sequence[PlannedRows]], cache: Cache) -> list[_Base]:
    return [[(cache.store(spec), views) for spec, views in parts] for parts in bases]


def _numbers(bases: Sequence[_Base]) -> int:
    """Return how many numbers an image has in all views of `bases`."""
    return sum(len(views) * math.prod(store.row_shape or ()) for base in bases for store, views in base)


def _concatenate(pictures: Sequence[Picture], bases: Sequence[_Base]) -> NDArray[np.float32]:
    loaded = []
    for base in bases:
        views = [gather_views(pictures, store, numbers) for store, numbers in base]
        loaded.append(views[0] if len(views) == 1 else np.concatenate(views, axis=1))
    if len(loaded) == 1:
        return loaded[0]
    _check_alike({views.shape[1] for views in loaded})
    return np.concatenate([views.reshape(*views.shape[:2], -1) for views in loaded], axis=2)


def _opened(pictures: Sequence[Picture], bases: Sequence[_Base]) -> list[list[StoredArray]]:
    opened = [[stored_rows(pictures, store, view) for store, views in base for view in views] for base in bases]
    _check_alike({len(views) for views in opened})
    return [list(view) for view in zip(*opened, strict=True)]


def _check_alike(views: Collection[int]) -> None:
    if len(views) > 1:
        raise UsageError("several bases for one head need the same number of views")
