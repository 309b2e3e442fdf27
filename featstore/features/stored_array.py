"""Rows of a store as an array on disk: they are read when they are used."""

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
LARGE_ROW = 2**14  # bytes; from this size on, reading single rows is as fast as reading neighbours together


class StoredArray:
    """A read-only array of n rows on disk, in their stored dtype: float16, or float32 if the key has such rows.

    `X[i]` and `X[a:b]` are read-only; `X[[3, 1, 2]]` and `X[mask]` are copies; `np.asarray(X)` reads all rows. Rows are
    not converted to float32, so that a slice can be a memory map of the file, and twice as many rows fit into memory.

    A slice of neighbouring rows of one uncompressed shard is a memory map of the file. Other slices are read, and
    selected rows are copied, through maps where shards are not compressed. Before a file is used, its digest was
    compared in its present state, or it is compared now. Rows that were compacted meanwhile are found in their new
    shard. If the disk fails under a memory map, the process ends (SIGBUS), as with every memory map; `read` and
    `load_features` raise StoreError instead.

    Attributes:
        shape: (n, ...).
        dtype: float16 or float32.

    Raises:
        StoreError: From any access, if a row is gone or damaged.
    """

    def __init__(self, store: RowReader, ids: NDArray[np.void]) -> None:
        """ids: (n,) row ids, 34 bytes each."""
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
        """Number of dimensions."""
        return len(self.shape)

    @property
    def row_size(self) -> int:
        """Number of values in a row."""
        return int(np.prod(self.shape[1:], dtype=np.intp))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.row_size * self.dtype.itemsize

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return some rows; raises IndexError for a key that does not select rows, or selects other axes too."""
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # scikit-learn's form
            key = key[0]
        if isinstance(key, slice) or key is Ellipsis:
            return self._slice(slice(None) if key is Ellipsis else key)
        which = self._row_numbers(key)
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
            raise ValueError(
                "cannot return a view: the rows are not neighbours in one uncompressed shard, in this dtype"
            )
        rows = self[:]
        return np.array(rows, dtype) if copy else np.asarray(rows, dtype)

    def blocks(self, most_bytes: int = BLOCK_BYTES) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, in blocks.

        Args:
            most_bytes: Size of a block at most, but at least one row.

        Yields:
            Rows, (k, ...) read-only.
        """
        at_once = max(1, most_bytes // max(1, self.row_bytes))
        for start in range(0, len(self), at_once):
            yield self[start : start + at_once]

    def batches(
        self, batch: int, *, seed: int = 0, most_bytes: int = BLOCK_BYTES
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """Yield every row once, in random order, in batches.

        Args:
            batch: Rows in a batch. The last batch may be smaller, but a single row joins the batch before it.
            seed: Seed of the order.
            most_bytes: Rows under 16 KB are read in blocks of up to this size, as `ShuffledBatches` describes.

        Yields:
            Rows, (batch, ...), and their numbers, (batch,).
        """
        from featstore.features.batches import ShuffledBatches
        from featstore.heads.loop import divide

        random = np.random.default_rng(seed)
        if self.row_bytes < LARGE_ROW:
            everything = np.arange(len(self))
            yield from ShuffledBatches(self, everything, batch, most_bytes, random, widen=False).epoch(1)
            return
        order = random.permutation(len(self))
        for place in divide(len(self), batch):
            yield self.read(order[place], mapped=True), order[place]

    def read(self, which: NDArray[np.intp] | slice, mapped: bool = False) -> NDArray[Any]:
        """Return a copy of some rows.

        Args:
            which: Numbers from 0 to n - 1, (k,), or a slice.
            mapped: Read through memory maps where possible. That is faster, but a disk error ends the process.

        Returns:
            Rows, (k, ...).

        Raises:
            StoreError: If a row is gone or damaged.
        """
        places = self._located().of(which)
        try:
            rows = self._store.read_at(places, mapped)
        except (OSError, StoreError):  # a shard has changed: its rows may be in another one now
            rows = self._read_again(self._ids[which])
        return rows.astype(self.dtype, copy=False)

    def _slice(self, part: slice) -> NDArray[Any]:
        rows = self._map(part)
        if rows is None:
            rows = self.read(part)
            rows.flags.writeable = False
        return rows

    def _map(self, part: slice) -> NDArray[Any] | None:
        """Return a slice as a memory map; None if its rows are not neighbours in one shard, or have another dtype."""
        rows = self._store.view(self._located().of(part))
        return None if rows is None or rows.dtype != self.dtype else rows

    def _located(self) -> Places:
        if self._places is None:
            with self._gone_rows_as_store_error():
                self._places = self._store.locate(self._ids)
        return self._places

    def _read_again(self, ids: NDArray[np.void]) -> NDArray[Any]:
        """Return rows from the places where they are now."""
        with self._gone_rows_as_store_error():
            rows = self._store.read(ids)
        with suppress(KeyError):  # other rows are gone: the known places of the rest still hold
            self._places = self._store.locate(self._ids)
        return rows

    @contextmanager
    def _gone_rows_as_store_error(self) -> Iterator[None]:
        """Turn a KeyError into a StoreError: the rows were stored when the array was made."""
        try:
            yield
        except KeyError as error:
            raise StoreError(f"{self._store.folder}: rows that were stored are gone; extract them again") from error

    def _row_numbers(self, key: Any) -> NDArray[np.intp]:
        """Return the numbers of the selected rows, () or (k,), from 0 on."""
        which = np.asarray(key, object if isinstance(key, tuple) else None)  # a tuple indexes other axes too
        if which.dtype == bool and which.shape == (len(self),):
            return np.flatnonzero(which)
        if not which.size:
            which = which.astype(np.intp)
        if which.dtype.kind not in "iu" or which.ndim > 1:
            raise IndexError(f"expected a number, a slice, a list of numbers or a mask of {len(self)} rows")
        which = np.where(which < 0, which + len(self), which).astype(np.intp)
        if ((which < 0) | (which >= len(self))).any():
            raise IndexError(f"row index out of range for {len(self)} rows")
        return which
