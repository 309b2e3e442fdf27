"""A queue of rows for one store: images wait for a full batch, rows wait for a full shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.bases.source import BATCH
from featstore.store.layout import SHARD_BYTES
from featstore.store.reader import RowReader
from featstore.store.rowid import PLAIN_VIEW, RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.writer import RowWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Encode = Callable[["NDArray[Any]"], "NDArray[np.float32]"]

SHARD_SECONDS = 10.0  # a killed run loses at most this much work
FLOAT16_TOLERANCE = 1e-3  # relative to the largest number of the row; rounding alone takes half of it


@dataclass(frozen=True)
class Task:
    """One kind of features to complete.

    store: where the rows go. encode: turns RGB images (n, h, w, 3) into rows. dtype: float32 for all rows, or float16,
    where rows that float16 cannot hold stay float32. maps: a store of the unpooled maps of the same features, if there
    is one. pool: makes rows from maps; images that have a map need no base. views: numbers of the rows of each image.
    canary: returns the canary to store with the first rows of a key (see `canary.Guard`).
    """

    store: RowStore
    encode: Encode
    dtype: str = "float16"
    maps: RowReader | None = None
    pool: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None
    views: tuple[int, ...] = (PLAIN_VIEW,)
    canary: Callable[[], Mapping[str, Any] | None] = lambda: None

    def rows(self, digest: str) -> list[RowId]:
        """Return the ids of the rows of the image with this SHA-256 (hex)."""
        return [row_id(digest, view) for view in self.views]


class _Item(NamedTuple):
    row: RowId
    pixels: NDArray[Any] | None  # None where the row is pooled from a map


class RowQueue:
    """A queue that takes images one by one, encodes them in batches and stores the rows in shards.

    computed: number of rows that the base made. refused: rows with NaN or infinity, with the reason. seconds: time
    spent in the base and on storing.
    """

    def __init__(self, task: Task, writer: RowWriter) -> None:
        self.task = task
        self.writer = writer
        self.computed = 0
        self.seconds = 0.0
        self.refused: dict[RowId, str] = {}
        self._enqueued: set[RowId] = set()
        self._to_encode: list[_Item] = []
        self._to_pool: list[_Item] = []
        self._ids: list[RowId] = []
        self._rows: list[NDArray[np.float32]] = []
        self._stored_at = time.perf_counter()

    def needs_pixels(self, row: RowId) -> bool:
        """Whether `row` is missing and only the base can make it."""
        return self.is_missing(row) and not self._has_map(row)

    def claim(self, row: RowId) -> bool:
        """Claim a row that needs pixels; return False if another process computes it, or if it needs none."""
        return self.needs_pixels(row) and self.writer.claims.claim(row)

    def enqueue(self, row: RowId, pixels: NDArray[Any] | None) -> None:
        """Add an image, unless its row is stored or a copy of it was added before."""
        if not self.is_missing(row):
            return
        self._enqueued.add(row)
        items = self._to_pool if self._has_map(row) else self._to_encode
        items.append(_Item(row, pixels))
        if len(items) == BATCH:
            self._make_rows(items)

    def flush(self) -> None:
        """Make and store the rows of all images in the queue."""
        for items in (self._to_pool, self._to_encode):
            if items:
                self._make_rows(items)
        self.store_rows()

    def store_rows(self) -> None:
        """Store the rows that are made. Images that wait for a full batch stay in the queue."""
        if not self._ids:
            return
        import numpy as np

        start = time.perf_counter()
        rows = np.concatenate(self._rows)
        for part, dtype in _storage_types(rows, self.task.dtype):
            self.writer.append([self._ids[i] for i in part], rows[part].astype(dtype), self.task.canary())
        self._ids, self._rows = [], []
        self._stored_at = time.perf_counter()
        self.seconds += self._stored_at - start

    def is_missing(self, row: RowId) -> bool:
        """Whether `row` is neither stored nor in the queue."""
        return row not in self.task.store and row not in self._enqueued

    def _has_map(self, row: RowId) -> bool:
        return self.task.maps is not None and row in self.task.maps

    def _make_rows(self, items: list[_Item]) -> None:
        import numpy as np

        start = time.perf_counter()
        if items is self._to_pool:
            rows = self._pool_maps([item.row for item in items])
        else:
            rows = self.task.encode(np.stack([item.pixels for item in items if item.pixels is not None]))
        finite = np.asarray(np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
        ids = [item.row for item, is_finite in zip(items, finite, strict=True) if is_finite]
        reason = "the base computes NaN or infinity for this image"
        self.refused |= {item.row: reason for item, is_finite in zip(items, finite, strict=True) if not is_finite}
        self.computed += len(ids) if items is self._to_encode else 0
        self._ids += ids
        self._rows.append(rows[finite])
        items.clear()
        self.seconds += time.perf_counter() - start
        full = sum(part.nbytes for part in self._rows) >= SHARD_BYTES
        if full or time.perf_counter() - self._stored_at > SHARD_SECONDS:
            self.store_rows()

    def _pool_maps(self, rows: list[RowId]) -> NDArray[np.float32]:
        assert self.task.maps is not None
        assert self.task.pool is not None
        return self.task.pool(self.task.maps.read(rows))


def _storage_types(rows: NDArray[np.float32], dtype: str) -> list[tuple[NDArray[np.intp], str]]:
    """Return (row numbers, dtype) of each shard. The dtype of a row depends on the row alone, not on its neighbours."""
    import numpy as np

    flat = rows.reshape(len(rows), -1)
    with np.errstate(over="ignore"):  # too large becomes infinity, tiny loses digits: `error` shows both
        error = np.abs(flat - flat.astype(np.float16)).max(axis=1)
    fits = (error <= FLOAT16_TOLERANCE * np.abs(flat).max(axis=1)) & (dtype == "float16")
    parts = ((np.flatnonzero(fits), "float16"), (np.flatnonzero(~fits), "float32"))
    return [(numbers, kind) for numbers, kind in parts if len(numbers)]
