"""Rows of the cache in shuffled batches: all of them in memory if they fit, else block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featstore.heads.loop import divide
from featstore.heads.shuffle import shuffled_blocks


class RowSource(Protocol):
    """n rows to make batches of, in memory or on disk."""

    def __len__(self) -> int: ...

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in memory."""

    @property
    def row_size(self) -> int:
        """Number of values in a row."""

    def read(self, which: NDArray[np.intp]) -> NDArray[Any]:
        """Return a copy of some rows, (len(which), ...)."""


class ShuffledBatches:
    """Batches of `rows` with their `targets` (n,), in a different order in every epoch.

    At most `most_bytes` of rows are in memory at a time, but at least one batch. A last batch of one row joins the one
    before it, as `divide` says. If all rows fit, they are read once,
    and every order is equally likely. Otherwise, they are read in blocks of that size, as `shuffled_blocks`
    makes them, and each block is shuffled.
    """

    def __init__(
        self,
        rows: RowSource,
        targets: NDArray[np.intp],
        batch: int,
        most_bytes: int,
        random: np.random.Generator,
        widen: bool = True,
    ) -> None:
        """widen: keep the rows as float32 if memory suffices. random: the generator of the orders."""
        self._rows, self._targets, self._batch, self._random = rows, targets, batch, random
        at_once = most_bytes // max(rows.row_bytes, 1)
        self.block = max(batch, at_once // batch * batch)
        self.fits = max(batch, at_once) >= len(rows)
        self._widens = (
            widen and (2 + 4) * rows.row_size * len(rows) <= most_bytes
        )  # once for all epochs, if both copies fit
        self._in_memory: NDArray[Any] | None = None

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """Yield (batch, ...) rows and (batch,) targets; every row once."""
        if self.fits:
            if self._in_memory is None:
                rows = self._rows.read(np.arange(len(self._rows)))
                self._in_memory = rows.astype(np.float32, copy=False) if self._widens else rows
            yield from self._split(self._in_memory, self._random.permutation(len(self._rows)), 0)
            return
        for which in shuffled_blocks(len(self._rows), self.block, self._random):
            block = self._rows.read(which)
            yield from self._split(block, self._random.permutation(len(which)), which)
            del block  # before the next one is read

    def _split(
        self, block: NDArray[Any], order: NDArray[np.intp], which: NDArray[np.intp] | int
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """Yield the batches of a block in a given order; `which` are the numbers of its rows, 0 for all rows."""
        targets = self._targets[which] if isinstance(which, np.ndarray) else self._targets
        for place in divide(len(order), self._batch):
            yield block[order[place]], targets[order[place]]
