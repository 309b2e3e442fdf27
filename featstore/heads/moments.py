"""The mean and the deviation of each feature in one pass over blocks of rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featstore.heads.rows import RowsLike, blocks_of

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_PART = 2**19  # numbers that are in memory once more, as float64


class Moments:
    """The running mean and deviation (width,) of rows that come in parts.

    The parts are joined as Chan, Golub and LeVeque (1979) do it: squares are those of differences from a mean that is
    near. Sums of plain squares would cancel where a mean is large next to its deviation.
    """

    def __init__(self, width: int) -> None:
        self.rows = 0
        self.mean: NDArray[np.float64] = np.zeros(width)
        self._squares: NDArray[np.float64] = np.zeros(width)

    @classmethod
    def of(cls, rows: RowsLike, change: Change | None = None) -> Moments:
        """Return the moments of `rows`, each of which is flattened. change: what is done with a block before."""
        moments: Moments | None = None
        for block in blocks_of(rows):
            flat = (change(block) if change else block).reshape(len(block), -1)
            moments, part = moments or cls(flat.shape[1]), max(1, _PART // max(1, flat.shape[1]))
            for start in range(0, len(flat), part):
                moments.add(flat[start : start + part])
            del block, flat  # before the next one is read
        assert moments is not None, "there are no rows"
        return moments

    def add(self, part: NDArray[np.float32]) -> None:
        """Take in more rows (n, width)."""
        wide = part.astype(np.float64)
        mean = wide.mean(axis=0)
        apart, rows = mean - self.mean, self.rows + len(part)
        self._squares += np.square(wide - mean).sum(axis=0) + apart**2 * (self.rows * len(part) / rows)
        self.mean = self.mean + apart * (len(part) / rows)
        self.rows = rows

    def standardise(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a copy (n, width) of rows (n, ...), with these moments taken out; it is float32."""
        flat: NDArray[np.float32] = rows.reshape(len(rows), -1) - self.mean.astype(np.float32)
        flat /= self.deviation.astype(np.float32)
        return flat

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The deviation of each feature; 1 where it does not vary, so that the feature keeps its scale."""
        deviation = np.sqrt(self._squares / max(1, self.rows))
        deviation[deviation == 0] = 1
        return np.asarray(deviation)
