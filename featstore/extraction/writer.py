"""A queue of rows for one store: rows wait for a full shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featstore.store.layout import SHARD_BYTES
from featstore.store.rowid import PLAIN_VIEW, RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.writer import RowWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rows = Mapping[str, "NDArray[np.float32]"]  # of the canary images, by name

SHARD_SECONDS = 10.0  # a killed run loses at most this much work
MOST_DERIVED = 256  # rows that are remembered until they are enqueued
FLOAT16_TOLERANCE = 1e-3  # relative to the largest number of the row; rounding alone takes half of it


@dataclass(frozen=True)
class Task:
    """One kind of features to complete.

    store: where the rows go. dtype: float32 for all rows, or float16, where rows that float16 cannot hold stay float32.
    derive: returns a row that follows from other stored rows, without pixels or base; None for any other row (see
    `derived`). views: numbers of the rows of each image. check: is given the rows of the canary images, and what they
    are made with, before the first rows are stored; raises StoreError if they do not fit those of the store. canary:
    returns the canary to store with a key that has none, and compares it with that of another process (see
    `canary.Guard`).
    """

    store: RowStore
    dtype: str = "float16"
    derive: Callable[[RowId], NDArray[np.float32] | None] = lambda row: None
    views: tuple[int, ...] = (PLAIN_VIEW,)
    check: Callable[[Rows, Mapping[str, str]], None] = lambda rows, made_with: None
    canary: Callable[[], Mapping[str, Any] | None] = lambda: None

    def rows(self, digest: str) -> list[RowId]:
        """Return the ids of the rows of the image with this SHA-256 (hex)."""
        return [row_id(digest, view) for view in self.views]


class RowQueue:
    """A queue that takes rows as they are made, and stores them in shards.

    computed: number of rows that the base made. refused: rows with NaN or infinity, with the reason.
    """

    def __init__(self, task: Task, writer: RowWriter) -> None:
        self.task = task
        self.writer = writer
        self.computed = 0
        self.refused: dict[RowId, str] = {}
        self._reserved: set[RowId] = set()  # in this queue, or on their way to it; not yet stored
        self._derived: dict[RowId, NDArray[np.float32]] = {}  # the latest, since each is asked about more than once
        self._ids: list[RowId] = []
        self._rows: list[NDArray[np.float32]] = []
        self._bytes = 0  # of these rows
        self._stored_at = time.perf_counter()

    def is_missing(self, row: RowId) -> bool:
        """Whether `row` is neither stored nor in the queue."""
        return row not in self._reserved and row not in self.task.store  # in this order: see `store_rows`

    def needs_pixels(self, row: RowId) -> bool:
        """Whether `row` is missing and only the base can make it."""
        return self.is_missing(row) and self._derive(row) is None

    def claim(self, row: RowId) -> bool:
        """Claim a row that needs pixels; return False if another process computes it, or if it needs none."""
        return self.needs_pixels(row) and self.writer.claims.claim(row)

    def reserve(self, row: RowId) -> None:
        """Note that the base makes this row, so that a copy of its image is not computed again."""
        self._reserved.add(row)

    def add_derived(self, row: RowId) -> None:
        """Add a row that needs no pixels, unless it is stored or in the queue."""
        if not self.is_missing(row):
            return
        derived = self._derive(row)
        assert derived is not None
        self._derived.pop(row, None)
        self.reserve(row)
        self._keep([row], derived[None])

    def add_computed(self, ids: Sequence[RowId], rows: NDArray[np.float32]) -> None:
        """Add rows (n, ...) that the base has made."""
        self.computed += self._keep(ids, rows)

    def store_rows(self) -> None:
        """Store the rows in the queue. From then on the store says that they are there, and not a set of each process.

        Threads may ask meanwhile, so the rows are stored before they are released.
        """
        if not self._ids:
            return
        import numpy as np

        rows = np.concatenate(self._rows)
        for part, dtype in _storage_types(rows, self.task.dtype):
            self.writer.append([self._ids[i] for i in part], rows[part].astype(dtype), self.task.canary)
        self._reserved.difference_update(self._ids)
        self.writer.claims.release(self._ids)
        self._ids, self._rows, self._bytes = [], [], 0
        self._stored_at = time.perf_counter()

    def _derive(self, row: RowId) -> NDArray[np.float32] | None:
        found = self._derived.get(row)
        if found is None and (found := self.task.derive(row)) is not None:
            if len(self._derived) == MOST_DERIVED:
                self._derived.clear()
            self._derived[row] = found
        return found

    def _keep(self, ids: Sequence[RowId], rows: NDArray[np.float32]) -> int:
        """Take rows that are made, and return their number without those that are not finite."""
        import numpy as np

        finite = np.asarray(np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
        kept = [row for row, is_finite in zip(ids, finite, strict=True) if is_finite]
        reason = "the base computes NaN or infinity for this image"
        self.refused |= {row: reason for row, is_finite in zip(ids, finite, strict=True) if not is_finite}
        self._ids += kept
        self._rows.append(rows[finite])
        self._bytes += self._rows[-1].nbytes
        if self._bytes >= SHARD_BYTES or time.perf_counter() - self._stored_at > SHARD_SECONDS:
            self.store_rows()
        return len(kept)


def _storage_types(rows: NDArray[np.float32], dtype: str) -> list[tuple[NDArray[np.intp], str]]:
    """Return (row numbers, dtype) of each shard. The dtype of a row depends on the row alone, not on its neighbours."""
    import numpy as np

    flat = rows.reshape(len(rows), -1)
    with np.errstate(over="ignore"):  # too large becomes infinity, tiny loses digits: `error` shows both
        error = np.abs(flat - flat.astype(np.float16)).max(axis=1)
    fits = (error <= FLOAT16_TOLERANCE * np.abs(flat).max(axis=1)) & (dtype == "float16")
    parts = ((np.flatnonzero(fits), "float16"), (np.flatnonzero(~fits), "float32"))
    return [(numbers, kind) for numbers, kind in parts if len(numbers)]
