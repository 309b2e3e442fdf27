"""Paired differences of accuracies, with intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.metrics import Z95


class Difference(NamedTuple):
    """A difference of accuracies, -1 to 1, with its interval from `low` to `high`."""

    value: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def in_points(self) -> str:
        """Return the difference in percentage points, as `1.2 points [0.3, 2.1]`."""
        value, low, high = (round(100 * part, 1) + 0.0 for part in self)  # + 0.0: no "-0.0"
        return f"{value:.1f} points [{low:.1f}, {high:.1f}]"


def paired_difference(a: NDArray[np.float64], b: NDArray[np.float64], z: float = Z95) -> Difference:
    """Return the accuracy of `a` (n,) less that of `b` (n,) on the same images, with its interval.

    `a` and `b` hold 1 for a right prediction and 0 for a wrong one, or the share of right ones over repetitions. `z` is
    the normal quantile of the interval, by default that of 95 %.

    The interval is the adjusted Wald interval for paired proportions, with half an image added to each of the four
    cells of the table (Agresti & Min 2005, Statistics in Medicine 24:729). Unlike the plain one, it keeps its coverage
    with few images and few disagreements. For shares, the squared differences replace the count of disagreements.
    """
    d = np.asarray(a, float) - np.asarray(b, float)
    n, total, squares = len(d), float(d.sum()), float((d**2).sum())
    centre = total / (n + 2)
    half = z * math.sqrt(max(0.0, squares + 1 - total**2 / (n + 2))) / (n + 2)
    value = total / n
    return Difference(value, max(-1.0, min(value, centre - half)), min(1.0, max(value, centre + half)))
