"""Paired differences of accuracies, with intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.metrics import Z95


class Difference(NamedTuple):
    """A difference of accuracies with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def tells_apart(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def in_points(self) -> str:
        value, low, high = (round(100 * part, 1) + 0.0 for part in self)  # + 0.0: no "-0.0"
        return f"{value:.1f} points [{low:.1f}, {high:.1f}]"


def paired_difference(a: NDArray[np.float64], b: NDArray[np.float64], z: float = Z95) -> Difference:
    """Accuracy of `a` (n,) minus that of `b` (n,) over the same images; `z` is the interval's normal quantile.

    The interval is the adjusted Wald one for paired proportions, with half an image added to each of the four cells
    of the table (Agresti & Min 2005, Statistics in Medicine 24:729): unlike the plain one it holds its 95 % with few
    images and few disagreements. For shares of several repetitions the squares of the differences take the place of
    the count of disagreements.
    """
    d = np.asarray(a, float) - np.asarray(b, float)
    n, total, squares = len(d), float(d.sum()), float((d**2).sum())
    centre = total / (n + 2)
    half = z * math.sqrt(max(0.0, squares + 1 - total**2 / (n + 2))) / (n + 2)
    value = total / n
    return Difference(value, max(-1.0, min(value, centre - half)), min(1.0, max(value, centre + half)))
