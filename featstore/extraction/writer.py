"""A shelf: rows on their way into one store. Images wait for a full batch, rows wait for a full shard."""

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
FLOAT16_TOLERANCE = 1e-3  # of a row's largest number; rounding takes half of it


@dataclass(frozen=True)
class Task:
    """One kind of features to be completed: RGB images (n, h, w, 3) go through `encode` and into `store`.

    dtype: float16, where rows that it cannot hold stay float32, or float32 for all. `maps`, where given, holds the
    unpooled maps of the very same features, and `pool` makes rows of maps; images that have one need no base. `views`
    are the numbers of the rows that each image gets. `canary` returns what is kept with the first rows of a key that
    `encode` has made (see `canary.Guard`).
    """

    store: RowStore
    encode: Encode
    dtype: str = "float16"
    maps: RowReader | None = None
    pool: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None
    views: tuple[int, ...] = (PLAIN_VIEW,)
    canary: Callable[[], Mapping[str, Any] | None] = lambda: None

    def rows(self, digest: str) -> list[RowId]:
        """Ids of the rows of the image with this SHA-256 (hex)."""
        return [row_id(digest, view) for view in self.views]


class _Waiting(NamedTuple):
    row: RowId
    pixels: NDArray[Any] | None


class Shelf:
    """Takes images one by one.

    computed: number of rows that the base made. refused: rows with NaN or infinity, with the reason. seconds: of the
    base and of storing.
    """

    def __init__(self, task: Task, writer: RowWriter) -> None:
        self.task = task
        self.writer = writer
        self.computed = 0
        self.seconds = 0.0
        self.refused: dict[RowId, str] = {}
        self._being_made: set[RowId] = set()
        self._decoded: list[_Waiting] = []
        self._mapped: list[_Waiting] = []
        self._ids: list[RowId] = []
        self._rows: list[NDArray[np.float32]] = []
        self._stored_at = time.perf_counter()

    def needs_pixels(self, row: RowId) -> bool:
        """Whether the base has to see the image of `row`."""
        return self.lacks(row) and not self._has_map(row)

    def claims(self, row: RowId) -> bool:
        """Claim a row that needs pixels; False if another process is making it, or if it needs none."""
        return self.needs_pixels(row) and self.writer.claims.claim(row)

    def take(self, row: RowId, pixels: NDArray[Any] | None) -> None:
        """Take an image, unless its row is stored or a copy of it was taken before."""
        if not self.lacks(row):
            return
        self._being_made.add(row)
        waiting = self._mapped if self._has_map(row) else self._decoded
        waiting.append(_Waiting(row, pixels))
        if len(waiting) == BATCH:
            self._make_rows(waiting)

    def finish(self) -> None:
        """Bring all that was taken to disk."""
        for waiting in (self._mapped, self._decoded):
            if waiting:
                self._make_rows(waiting)
        self.store_rows()

    def store_rows(self) -> None:
        """Bring the rows that are made to disk; images still waiting for their batch are left."""
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

    def lacks(self, row: RowId) -> bool:
        """Whether `row` is neither stored nor being made."""
        return row not in self.task.store and row not in self._being_made

    def _has_map(self, row: RowId) -> bool:
        return self.task.maps is not None and row in self.task.maps

    def _make_rows(self, waiting: list[_Waiting]) -> None:
        import numpy as np

        start = time.perf_counter()
        if waiting is self._mapped:
            rows = self._pool_maps([item.row for item in waiting])
        else:
            rows = self.task.encode(np.stack([item.pixels for item in waiting if item.pixels is not None]))
        finite = np.asarray(np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
        made = [item.row for item, good in zip(waiting, finite, strict=True) if good]
        reason = "the base's features are not finite (NaN or infinity)"
        self.refused |= {item.row: reason for item, good in zip(waiting, finite, strict=True) if not good}
        self.computed += len(made) if waiting is self._decoded else 0
        self._ids += made
        self._rows.append(rows[finite])
        waiting.clear()
        self.seconds += time.perf_counter() - start
        full = sum(part.nbytes for part in self._rows) >= SHARD_BYTES
        if full or time.perf_counter() - self._stored_at > SHARD_SECONDS:
            self.store_rows()

    def _pool_maps(self, rows: list[RowId]) -> NDArray[np.float32]:
        assert self.task.maps is not None
        assert self.task.pool is not None
        return self.task.pool(self.task.maps.read(rows))


def _storage_types(rows: NDArray[np.float32], dtype: str) -> list[tuple[NDArray[np.intp], str]]:
    """(row numbers, dtype) per shard. Which dtype a row gets depends on the row alone, never on its neighbours."""
    import numpy as np

    flat = rows.reshape(len(rows), -1)
    with np.errstate(over="ignore"):  # what is too large becomes infinity and what is tiny loses digits: both show here
        error = np.abs(flat - flat.astype(np.float16)).max(axis=1)
    fits = (error <= FLOAT16_TOLERANCE * np.abs(flat).max(axis=1)) & (dtype == "float16")
    parts = ((np.flatnonzero(fits), "float16"), (np.flatnonzero(~fits), "float32"))
    return [(numbers, kind) for numbers, kind in parts if len(numbers)]
