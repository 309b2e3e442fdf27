"""What a head is fed: the rows of each image in all its views, of one base or of several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.errors import UsageError
from featstore.extraction.cache import open_store
from featstore.extraction.plan import Plan, Rows
from featstore.features.arrays import gather_views

BLOCK_BYTES = 256 * 2**20


def load_in_blocks(
    pictures: Sequence[Picture], plans: Sequence[Plan], cache: Path, most_bytes: int = BLOCK_BYTES
) -> Iterator[NDArray[np.float32]]:
    """As `load_views`, a block of pictures at a time, each of up to `most_bytes` (but no less than a picture)."""
    numbers = 0
    for plan in plans:
        for spec, views in plan.parts:
            numbers += len(views) * math.prod(open_store(cache, spec).row_shape or ())
    at_once = max(1, most_bytes // (4 * max(1, numbers)))
    for start in range(0, len(pictures), at_once):
        yield load_views(pictures[start : start + at_once], plans, cache)


def load_views(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Path) -> NDArray[np.float32]:
    """(n, views, ...) of `pictures`; the rows of several bases are flattened and stand side by side.

    Raises StoreError if a row is not in the cache, UsageError if the bases have not the same number of views.
    """
    return _side_by_side(pictures, [plan.parts for plan in plans], cache)


def load_augmented(pictures: Sequence[Picture], plans: Sequence[Plan], cache: Path) -> NDArray[np.float32] | None:
    """(n, versions, ...) of training `pictures`; None where `plans` have no augmented versions."""
    augmented = [(plan.augmented,) for plan in plans if plan.augmented]
    return _side_by_side(pictures, augmented, cache) if augmented else None


def _side_by_side(pictures: Sequence[Picture], bases: Sequence[Sequence[Rows]], cache: Path) -> NDArray[np.float32]:
    loaded = []
    for parts in bases:
        views = [gather_views(pictures, open_store(cache, spec), numbers) for spec, numbers in parts]
        loaded.append(views[0] if len(views) == 1 else np.concatenate(views, axis=1))
    if len(loaded) == 1:
        return loaded[0]
    if len({views.shape[1] for views in loaded}) > 1:
        raise UsageError("bases that stand side by side need the same number of views")
    return np.concatenate([views.reshape(*views.shape[:2], -1) for views in loaded], axis=2)
