"""Rows of several stores as one sequence on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.features.stored_array import StoredArray
from featstore.heads.shuffle import ROWS_PER_RUN
from featstore.store.reader import RowReader
from featstore.store.rowid import SIZE, RowId


class StoredRows:
    """Rows of one or more stores, all of one shape, in the order of `places`. They are read when they are used."""

    def __init__(self, places: Sequence[tuple[RowReader, RowId]]) -> None:
        stores = list(dict.fromkeys(store for store, _ in places))
        number = {id(store): place for place, store in enumerate(stores)}
        ids = np.frombuffer(b"".join(row for _, row in places), f"V{SIZE}")
        self._store_of = np.array([number[id(store)] for store, _ in places], np.intp)
        self._parts = [StoredArray(store, ids[self._store_of == place]) for place, store in enumerate(stores)]
        self._within = np.empty(len(places), np.intp)  # position in the part of its store
        for place, part in enumerate(self._parts):
            self._within[self._store_of == place] = np.arange(len(part))

    def __len__(self) -> int:
        return len(self._within)

    @property
    def row_bytes(self) -> int:
        """Bytes of the largest row in memory."""
        return max(part.row_bytes for part in self._parts)

    @property
    def row_size(self) -> int:
        """Number of values in a row."""
        return self._parts[0].row_size

    def read(self, which: NDArray[np.intp]) -> NDArray[Any]:
        """Return a copy of some rows, (len(which), ...): float32 if a store has such rows, else float16."""
        if len(self._parts) == 1:
            return self._parts[0].read(which)
        out = np.empty((len(which), *self._parts[0].shape[1:]), np.result_type(*(part.dtype for part in self._parts)))
        for number, part in enumerate(self._parts):
            here = np.flatnonzero(self._store_of[which] == number)
            for some in np.split(
                here, range(ROWS_PER_RUN, len(here), ROWS_PER_RUN)
            ):  # small parts, since they are copied once more
                out[some] = part.read(self._within[which[some]])
        return out
