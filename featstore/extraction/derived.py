"""Derived rows: those that follow from rows of another key, so that the base need not run.

Pooled features follow from maps. The centre crop of a canvas that is as large as the input is the whole image, which
has a key of its own, since the crops of a canvas are numbered. A derived row is as exact as a computed one, or it is
not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from featstore.bases.pooling import check_poolable, is_fine_enough, pool_map
from featstore.bases.source import BaseSource
from featstore.extraction.cache import Cache
from featstore.images.reading import Reading
from featstore.spec import FeatureSpec, Pool
from featstore.store.folders import as_folder
from featstore.store.reader import RowReader
from featstore.store.rowid import RowId, content_digest, row_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Derive = Callable[[RowId], "NDArray[np.float32] | None"]


@dataclass(frozen=True)
class _Origin:
    """Rows of another key from which rows follow.

    pool: how they are pooled; `none` if they serve as they are. views: the only view that follows and its number there;
    None if every view follows from the view with the same number.
    """

    rows: RowReader
    pool: Pool
    views: tuple[int, int] | None

    def derive(self, row: RowId) -> NDArray[np.float32] | None:
        digest = content_digest(row)
        if self.views is not None and row != row_id(digest, self.views[0]):
            return None
        there = row if self.views is None else row_id(digest, self.views[1])
        if there not in self.rows:
            return None
        import numpy as np

        [stored] = self.rows.read([there])
        if self.pool == "none":
            return np.asarray(stored, np.float32)
        pooled = pool_map(stored, self.pool)
        return pooled if is_fine_enough(stored, pooled, self.pool) else None


def derive_from(
    cache: Cache, source: BaseSource, spec: FeatureSpec, check: Callable[[RowReader, Pool], None]
) -> Derive:
    """Return a function that derives rows of `spec` from what is in `cache`; it returns None for any other row.

    `check` is called with the rows of another key, and how they are pooled, before any of them is used. Raises
    UsageError if rows of `spec` would be pooled from what are not maps.
    """
    origins = list(_origins(cache, source, spec))
    checked: list[_Origin] = []

    def derive(row: RowId) -> NDArray[np.float32] | None:
        for origin in origins:
            found = origin.derive(row)
            if found is not None:
                if origin not in checked:
                    check(origin.rows, origin.pool)
                    checked.append(origin)
                return found
        return None

    return derive


def _origins(cache: Cache, source: BaseSource, spec: FeatureSpec) -> Iterator[_Origin]:
    """Yield the stored rows from which rows of `spec` follow: as they are, else pooled; float32 before float16."""
    pools: list[Pool] = ["none"] if source.pools_maps(spec.layer) else []
    readings = list(filter(None, (spec.reading, _twin(spec.reading))))
    for pool, reading in product(dict.fromkeys((spec.pool, *pools)), readings):
        for dtype in dict.fromkeys(("float32", spec.dtype)):
            other = replace(spec, pool=pool, reading=reading, dtype=dtype)
            if (pool, reading) == (spec.pool, spec.reading) or not as_folder(cache.folder / other.folder).exists():
                continue
            rows = cache.store(other)
            pooled = pool != spec.pool
            if pooled and rows.row_shape is not None:
                check_poolable(spec.layer, len(rows.row_shape))
            views = None if reading == spec.reading else (spec.reading.plain, reading.plain)
            yield _Origin(rows, spec.pool if pooled else "none", views)


def _twin(reading: Reading) -> Reading | None:
    """Return the reading whose plain view has the same pixels under another number; None if there is none."""
    size = reading.height, reading.width
    if reading.resize == size:
        return replace(reading, resize=None)
    takes_crops = reading.name != "keras-compat" and reading.resize is None and reading.augmentation is None
    return replace(reading, resize=size) if takes_crops else None
