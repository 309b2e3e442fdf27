"""Rows of the cache in shuffled batches: all of them held in memory, or block by block where they are too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RUN = 32  # the most rows that are read together: what lies side by side on the disk is read in one go
_RUNS = 16  # the fewest in a block: neighbours are often of one class


class Rows(Protocol):
    """What batches are made of: n rows, in memory or not."""

    def __len__(self) -> int: ...

    @property
    def row_bytes(self) -> int:
        """Of a row in memory."""

    @property
    def numbers(self) -> int:
        """How many a row has."""

    def read(self, which: NDArray[np.intp]) -> NDArray[Any]:
        """(len(which), ...), a copy."""


class ShuffledBatches:
    """Batches of `rows` with their `targets` (n,), in another order in every epoch.

    At most `most_bytes` of rows are in memory at a time (but no less than a batch). If all fit, they are read once, and
    every order is as likely as any other. Else runs of neighbouring rows are put in random order and read in blocks of
    that size, each shuffled by itself.
    """

    def __init__(
        self,
        rows: Rows,
        targets: NDArray[np.intp],
        batch: int,
        most_bytes: int,
        random: np.random.Generator,
        widen: bool = True,
    ) -> None:
        """widen: hold the rows as float32 where there is room for that."""
        self._rows, self._targets, self._batch, self._random = rows, targets, batch, random
        at_once = most_bytes // max(rows.row_bytes, 1)
        self.block = max(batch, at_once // batch * batch)
        self.fits = max(batch, at_once) >= len(rows)
        self._widens = widen and (2 + 4) * rows.numbers * len(rows) <= most_bytes  # once for all epochs, where both fit
        self._held: NDArray[Any] | None = None

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """(batch, ...) rows and (batch,) targets; every row once."""
        if self.fits:
            if self._held is None:
                held = self._rows.read(np.arange(len(self._rows)))
                self._held = held.astype(np.float32, copy=False) if self._widens else held
            yield from self._cut_up(self._held, self._random.permutation(len(self._rows)), 0)
            return
        run = min(RUN, max(1, self.block // _RUNS))
        first = self._random.permutation(-(-len(self._rows) // run)) * run
        order = (first[:, None] + np.arange(run)).ravel()
        order = order[order < len(self._rows)]  # the last run may be a shorter one
        for start in range(0, len(order), self.block):
            which = np.sort(order[start : start + self.block])
            block = self._rows.read(which)
            yield from self._cut_up(block, self._random.permutation(len(which)), which)
            del block  # before the next one is read

    def _cut_up(
        self, block: NDArray[Any], order: NDArray[np.intp], which: NDArray[np.intp] | int
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        targets = self._targets[which] if isinstance(which, np.ndarray) else self._targets
        for start in range(0, len(order), self._batch):
            places = order[start : start + self._batch]
            yield block[places], targets[places]
