"""The rows that a head is trained on: in memory, or on disk and read when they are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 2**28  # of rows that are in memory at a time, as float32


class RowsOnDisk(Protocol):
    """Rows (n, ...) that are read when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def block(self) -> int:
        """The most rows that may be in memory at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return a copy of some rows, in float32."""


RowsLike = NDArray[np.float32] | RowsOnDisk


def count_blocks(rows: RowsLike) -> int:
    """Return in how many blocks `rows` are read from disk for an epoch; 0 for rows in memory."""
    return 0 if isinstance(rows, np.ndarray) else -(-len(rows) // rows.block)


def block_of(rows: RowsLike) -> int:
    """Return how many of `rows` are worked on at a time: as many on disk as in memory, unless these are to be fewer."""
    if not isinstance(rows, np.ndarray):
        return rows.block
    return rows_in(BLOCK_BYTES, rows.shape)


def rows_in(most_bytes: int, shape: tuple[int, ...]) -> int:
    """Return how many rows of an array of `shape` are in `most_bytes` of float32, but at least one."""
    return max(1, most_bytes // (4 * max(1, int(np.prod(shape[1:])))))


def blocks_of(rows: RowsLike) -> Iterator[NDArray[np.float32]]:
    """Yield all of `rows` in order, in blocks."""
    block = block_of(rows)
    for start in range(0, len(rows), block):
        yield rows[start : start + block]
