"""The input of a head: the rows of each image in all its views, from one base or several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.errors import UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan, PlannedRows
from featstore.features.arrays import gather_views
from featstore.store.reader import RowReader

BLOCK_BYTES = 256 * 2**20


def load_in_blocks(
    pictures: Sequence[Picture], plans: Sequence[Plan], cache: Cache, most_bytes: int = BLOCK_BYTES
) -> Iterator[NDArray[np.float32]]:
    """Yield what `load_views` returns, a block of pictures at a time.

    most_bytes: size of a block at most, but at least one picture. Raises as `load_views` does.
    """
    bases = _open([plan.parts for plan in plans], cache)
    numbers = sum(len(views) * math.prod(store.row_shape or ()) for base in bases for store, views in base)
    at_once = max(1, most_bytes // (4 * max(1, numbers)))
    for start in range(0, len(pictures), at_once):
        yield _concatenate(pictures[start : start + at_once], bases)


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


_Base = list[tuple[RowReader, tuple[int, ...]]]  # the stores of one base, each with the numbers of the views


def _open(bases: Sequence[Sequence[PlannedRows]], cache: Cache) -> list[_Base]:
    return [[(cache.store(spec), views) for spec, views in parts] for parts in bases]


def _concatenate(pictures: Sequence[Picture], bases: Sequence[_Base]) -> NDArray[np.float32]:
    loaded = []
    for base in bases:
        views = [gather_views(pictures, store, numbers) for store, numbers in base]
        loaded.append(views[0] if len(views) == 1 else np.concatenate(views, axis=1))
    if len(loaded) == 1:
        return loaded[0]
    if len({views.shape[1] for views in loaded}) > 1:
        raise UsageError("several bases for one head need the same number of views")
    return np.concatenate([views.reshape(*views.shape[:2], -1) for views in loaded], axis=2)
