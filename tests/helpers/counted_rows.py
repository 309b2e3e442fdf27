"""Rows on disk, as a head is given them, that count what is in memory."""

from __future__ import annotations

import weakref

import numpy as np


class CountedRows:
    """Rows of an array of which some are copied when they are asked for.

    asked: how many rows each access asked for. most_alive: the most rows of copies that were alive at a time.
    """

    def __init__(self, rows: np.ndarray, block: int) -> None:
        self.shape, self.block = rows.shape, block
        self.asked: list[int] = []
        self.most_alive = 0
        self._rows = rows
        self._alive: list[weakref.ref[np.ndarray]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: np.ndarray | slice) -> np.ndarray:
        copy = self._rows[which].copy()
        self.asked.append(len(copy))
        self._alive = [ref for ref in (*self._alive, weakref.ref(copy)) if ref() is not None]
        self.most_alive = max(self.most_alive, sum(len(rows) for ref in self._alive if (rows := ref()) is not None))
        return copy
