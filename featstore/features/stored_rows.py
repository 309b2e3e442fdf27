"""Rows of several stores as one sequence, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.features.batches import RUN
from featstore.features.stored_array import StoredArray
from featstore.store.reader import RowReader
from featstore.store.rowid import SIZE, RowId


class StoredRows:
    """Rows of one or more stores, all of one shape, in the order of `places`; read when they are asked for."""

    def __init__(self, places: Sequence[tuple[RowReader, RowId]]) -> None:
        stores = list(dict.fromkeys(store for store, _ in places))
        number = {id(store): place for place, store in enumerate(stores)}
        ids = np.frombuffer(b"".join(row for _, row in places), f"V{SIZE}")
        self._store_of = np.array([number[id(store)] for store, _ in places], np.intp)
        self._parts = [StoredArray(store, ids[self._store_of == place]) for place, store in enumerate(stores)]
        self._within = np.empty(len(places), np.intp)  # its store's part
        for place, part in enumerate(self._parts):
            self._within[self._store_of == place] = np.arange(len(part))

    def __len__(self) -> int:
        return len(self._within)

    @property
    def row_bytes(self) -> int:
        """The most that a row takes in memory."""
        return max(part.row_bytes for part in self._parts)

    @property
    def numbers(self) -> int:
        """How many a row has."""
        return self._parts[0].numbers

    def read(self, which: NDArray[np.intp]) -> NDArray[Any]:
        """(len(which), ...) float16, or float32 where a store has such rows."""
        if len(self._parts) == 1:
            return self._parts[0].read(which)
        out = np.empty((len(which), *self._parts[0].shape[1:]), np.result_type(*(part.dtype for part in self._parts)))
        for number, part in enumerate(self._parts):
            here = np.flatnonzero(self._store_of[which] == number)
            for some in np.split(here, range(RUN, len(here), RUN)):  # what is read once more is small
                out[some] = part.read(self._within[which[some]])
        return out
