"""The rows of views on disk as one array."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from featstore.features.rows_on_disk import StoredViews


class Rows:
    """A million rows on a disk that is none: each has its own number twice."""

    shape, row_size = (1_000_000, 2), 2

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, which: np.ndarray) -> np.ndarray:
        return np.stack([which, which], axis=1)


def test_a_few_rows_cost_what_they_are() -> None:
    """And not a list of all numbers each time: an epoch would take the square of the rows."""
    base: Any = Rows()
    X = StoredViews([[base], [base]])
    tracemalloc.start()
    try:
        part, some = X[999_999:1_000_002], X[np.array([5, 1_000_007])]
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert part.tolist() == [[999_999] * 2, [0, 0], [1, 1]]
    assert some.tolist() == [[5, 5], [7, 7]]
    assert X[1_999_999:].tolist() == [[999_999] * 2]
