"""A score that is more than a mean over images, with what each image does to it: enough for its interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import score_interval
from featstore.evaluation.units import ERROR, Units

_PRIOR = 0.5  # images at either end of the scale


class Estimate(NamedTuple):
    """A score of n images.

    Attributes:
        value: The score.
        influence: (n,) by how much the score would rise if all images were like this one, to first order; its mean is
            0. It is the derivative of the score by the weight of the image, times n.
        size: How many images the score is worth at the end of its scale, where no influence is seen.
    """

    value: float
    influence: NDArray[np.float64]
    size: float

    def interval(self, units: Units, low: float = 0.0, high: float = 1.0) -> tuple[float, float]:
        """Return the 95 % interval of a score whose scale is from `low` to `high`.

        The variance is that of the influence over the units (infinitesimal jackknife: Jaeckel 1972; Efron 1982). It is
        what a bootstrap of the units comes to with endless draws, without chance and in no time. A proportion of some
        number of images would have the same variance: the interval is the score interval of so many. Unlike a
        bootstrap's it has a width if all images are right. For that, half an image at either end of the scale is added.
        """
        n, span = len(self.influence), high - low
        share, parts = (self.value - low) / span, self.influence / span
        images = n + 2 * _PRIOR
        mean = (share * n + _PRIOR) / images
        at_the_ends = _PRIOR * ((1 - share) ** 2 + share**2) * n / self.size
        one = (float((parts**2).sum()) + at_the_ends) / images / (mean * (1 - mean))
        size = n / one / units.design_effect(share + parts, 0.0, 1.0)
        ends = score_interval(share * size, size, units.quantile(ERROR))
        return min(self.value, low + span * ends[0]), max(self.value, low + span * ends[1])


class Mean:
    """The mean of scores of the same images, such as one for each class, which are added one at a time."""

    def __init__(self) -> None:
        """Begin without scores."""
        self._number, self._value, self._inverse_sizes = 0, 0.0, 0.0
        self._influence: NDArray[np.float64] | float = 0.0

    def add(self, score: Estimate) -> None:
        """Add a score."""
        self._number += 1
        self._value += score.value
        self._influence = self._influence + score.influence
        self._inverse_sizes += 1 / score.size

    def estimate(self) -> Estimate | None:
        """Return the mean; None without scores."""
        if not self._number:
            return None
        size = self._number**2 / self._inverse_sizes  # of a mean with these weights (Kish 1965)
        return Estimate(self._value / self._number, np.asarray(self._influence) / self._number, size)
