"""Rows of a store as an array that is not in memory: they are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from featstore.errors import StoreError
from featstore.store.places import Places
from featstore.store.reader import RowReader

BLOCK_BYTES = 2**26
LARGE_ROW = 2**14  # bytes, from which on it is no slower to read row by row than what lies side by side


class StoredArray:
    """(n, ...) rows, read-only, of the dtype that they are stored in: float16, or float32 if the key has such rows.

    They are not widened: a map of a file can only be of what is in it, and twice as many fit into memory. As in NumPy
    `X[i]` and `X[a:b]` cannot be written to, and `X[[3, 1, 2]]` and `X[mask]` are copies; `np.asarray(X)` is all rows.
    A slice that lies in one piece in one shard is a memory map of the file, any other is read, and rows from here and
    there are copied out of maps where shards are not compressed. In each case the file is in the state in which its
    digest was compared, or the digest is compared again. A row that was compacted meanwhile is found where it is;
    StoreError is raised for one that is gone or damaged. As with every memory map, a disk that fails under it ends the
    process (SIGBUS); `read` and `load_features` raise StoreError then.
    """

    def __init__(self, store: RowReader, ids: NDArray[np.void]) -> None:
        """ids: (n,), 34 bytes each."""
        self.shape = (len(ids), *(store.row_shape or ()))
        self.dtype = np.dtype(np.float32 if store.item_bytes == 4 else np.float16)
        self._store, self._ids = store, ids
        self._places: Places | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.shape} {self.dtype} in {self._store.folder}>"

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def numbers(self) -> int:
        """How many a row has."""
        return int(np.prod(self.shape[1:], dtype=np.intp))

    @property
    def row_bytes(self) -> int:
        return self.numbers * self.dtype.itemsize

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Raises IndexError for what does not choose rows, and only rows."""
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # as scikit-learn asks
            key = key[0]
        if isinstance(key, slice) or key is Ellipsis:
            return self._slice(slice(None) if key is Ellipsis else key)
        which = self._numbers(key)
        if which.ndim:
            return self.read(which, mapped=True)
        row = self.read(which[None], mapped=True)
        row.flags.writeable = False
        return np.asarray(row[0])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for block in self.blocks():
            yield from block

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False and (dtype not in (None, self.dtype) or self._map(slice(None)) is None):
            raise ValueError("these rows are not one array of that type anywhere: they cannot be had without a copy")
        rows = self[:]
        return np.array(rows, dtype) if copy else np.asarray(rows, dtype)

    def blocks(self, most_bytes: int = BLOCK_BYTES) -> Iterator[NDArray[Any]]:
        """All rows in order, so many at a time as take `most_bytes`, but at least one."""
        at_once = max(1, most_bytes // max(1, self.row_bytes))
        for start in range(0, len(self), at_once):
            yield self[start : start + at_once]

    def batches(
        self, batch: int, *, seed: int = 0, most_bytes: int = BLOCK_BYTES
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """Every row once, in an order that `seed` makes: (batch, ...) rows, and (batch,) which ones they are.

        Small rows are read in blocks of up to `most_bytes` and shuffled as `ShuffledBatches` says.
        """
        from featstore.features.batches import ShuffledBatches  # which stands on this module

        random = np.random.default_rng(seed)
        if self.row_bytes < LARGE_ROW:
            everything = np.arange(len(self))
            yield from ShuffledBatches(self, everything, batch, most_bytes, random, widen=False).epoch(1)
            return
        order = random.permutation(len(self))
        for start in range(0, len(self), batch):
            which = order[start : start + batch]
            yield self.read(which, mapped=True), which

    def read(self, which: NDArray[np.intp] | slice, mapped: bool = False) -> NDArray[Any]:
        """A copy of some rows, which are given by numbers from 0 to n - 1. mapped: as in `RowReader.read_at`."""
        places = self._located().of(which)
        try:
            rows = self._store.read_at(places, mapped)
        except (OSError, StoreError):  # a shard is not as it was: its rows may be in another one by now
            rows = self._read_anew(self._ids[which])
        return rows.astype(self.dtype, copy=False)

    def _slice(self, part: slice) -> NDArray[Any]:
        rows = self._map(part)
        if rows is None:
            rows = self.read(part)
            rows.flags.writeable = False
        return rows

    def _map(self, part: slice) -> NDArray[Any] | None:
        rows = self._store.view(self._located().of(part))
        return None if rows is None or rows.dtype != self.dtype else rows

    def _located(self) -> Places:
        if self._places is None:
            with self._one_error():
                self._places = self._store.locate(self._ids)
        return self._places

    def _read_anew(self, ids: NDArray[np.void]) -> NDArray[Any]:
        with self._one_error():
            rows = self._store.read(ids)
        with suppress(KeyError):  # others are gone: what is known of the rest still holds
            self._places = self._store.locate(self._ids)
        return rows

    @contextmanager
    def _one_error(self) -> Iterator[None]:
        """Rows were there when the array was made."""
        try:
            yield
        except KeyError as error:
            raise StoreError(f"{self._store.folder}: rows that were stored are gone; extract them again") from error

    def _numbers(self, key: Any) -> NDArray[np.intp]:
        """() or (k,) numbers of rows, from 0 on."""
        which = np.asarray(key, object if isinstance(key, tuple) else None)  # a tuple is about other axes too
        if which.dtype == bool and which.shape == (len(self),):
            return np.flatnonzero(which)
        if not which.size:
            which = which.astype(np.intp)
        if which.dtype.kind not in "iu" or which.ndim > 1:
            raise IndexError(f"expected a number, a slice, a list of numbers or a mask of {len(self)} rows")
        which = np.where(which < 0, which + len(self), which).astype(np.intp)
        if ((which < 0) | (which >= len(self))).any():
            raise IndexError(f"a row beyond the {len(self)} that there are")
        return which
