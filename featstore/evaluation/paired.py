"""Paired differences of accuracies, with intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.units import ERROR, Units
from featstore.system.figures import in_points


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
        return in_points(self.value, (self.low, self.high))


def paired_difference(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    units: Units | None = None,
    error: float = ERROR,
    squares_once: float | None = None,
) -> Difference:
    """Return the accuracy of `a` (n,) less that of `b` (n,) on the same images, with its interval.

    `a` and `b` hold 1 for a right prediction and 0 for a wrong one, or the share of right ones over repetitions.
    `units` says which images are not independent of each other, and `error` how often the interval may miss.
    `squares_once` is the mean squared difference of one repetition, where repetitions make the mean no surer.

    The interval is the adjusted Wald interval for paired proportions, with half an image added to each of the four
    cells of the table (Agresti & Min 2005, Statistics in Medicine 24:729). Unlike the plain one, it keeps its coverage
    with few images and few disagreements. For shares, the squared differences replace the count of disagreements. All
    counts are those of as many images as the units are worth.
    """
    d = np.asarray(a, float) - np.asarray(b, float)
    units = units or Units.single(len(d))
    size = math.sqrt(float((d**2).mean()))
    effect = units.design_effect(d, -size, size)
    n, total = len(d) / effect, float(d.sum()) / effect
    squares = n * (size**2 if squares_once is None else squares_once)
    centre = total / (n + 2)
    half = units.quantile(error) * math.sqrt(max(0.0, squares + 1 - total**2 / (n + 2))) / (n + 2)
    value = total / n
    return Difference(value, max(-1.0, min(value, centre - half)), min(1.0, max(value, centre + half)))
