"""Rows of the cache in shuffled batches: all of them held in memory, or block by block where they are too many."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError
from featstore.store.rowid import RowId
from featstore.store.rowstore import RowStore

RUN = 32  # the most rows that are read together: what lies side by side on the disk is read in one go
_RUNS = 16  # the fewest in a block: neighbours are often of one class
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class StoredRows:
    """Rows of one or more stores, all of one shape, in the order of `places`; read when they are asked for."""

    def __init__(self, places: Sequence[tuple[RowStore, RowId]]) -> None:
        self._stores = list(dict.fromkeys(store for store, _ in places))
        number = {id(store): place for place, store in enumerate(self._stores)}
        self._store_of = np.array([number[id(store)] for store, _ in places], np.intp)
        self._ids = [row for _, row in places]

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def row_bytes(self) -> int:
        """The most that a row takes in memory."""
        return self.numbers * max(store.item_bytes for store in self._stores)

    @property
    def numbers(self) -> int:
        """How many a row has."""
        return int(np.prod(self._stores[0].row_shape or ()))

    def read(self, which: NDArray[np.intp]) -> NDArray[Any]:
        """(len(which), ...) float16, or float32 where a row is."""
        if len(self._stores) == 1:
            return self._stores[0].read([self._ids[i] for i in which])
        dtype = np.float32 if any(store.item_bytes == 4 for store in self._stores) else np.float16
        out = np.empty((len(which), *(self._stores[0].row_shape or ())), dtype)
        for number, store in enumerate(self._stores):
            here = np.flatnonzero(self._store_of[which] == number)
            for part in np.split(here, range(RUN, len(here), RUN)):  # what is read once more is small
                out[part] = store.read([self._ids[i] for i in which[part]])
        return out


class ShuffledBatches:
    """Batches of `rows` with their `targets` (n,), in another order in every epoch.

    At most `most_bytes` of rows are in memory at a time (but no less than a batch). If all fit, they are read once, and
    every order is as likely as any other. Else runs of neighbouring rows are put in random order and read in blocks of
    that size, each shuffled by itself.
    """

    def __init__(
        self, rows: StoredRows, targets: NDArray[np.intp], batch: int, most_bytes: int, random: np.random.Generator
    ) -> None:
        self._rows, self._targets, self._batch, self._random = rows, targets, batch, random
        at_once = most_bytes // max(rows.row_bytes, 1)
        self.block = max(batch, at_once // batch * batch)
        self.fits = max(batch, at_once) >= len(rows)
        self._widens = (2 + 4) * rows.numbers * len(rows) <= most_bytes  # once for all epochs, where both fit
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
        runs = np.array_split(np.arange(len(self._rows)), range(run, len(self._rows), run))
        order = np.concatenate([runs[place] for place in self._random.permutation(len(runs))])
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


def parse_memory(text: str) -> int:
    """Bytes from a number with K, M, G or T, as in 512M or 2GB; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip().upper().replace("IB", "B"))
    size = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 1 <= size < 2**63:
        raise UsageError(f"--memory {text}: expected a size, as in 512M or 2G")
    return int(size)
