"""The units that images are sampled in: groups such as patients, or single images. Only units are independent."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from featstore.system.text import count

ERROR = 0.05  # of a 95 % interval
_PRIOR = 0.1  # units, at either end of the scale


class Units:
    """The unit that each of n images belongs to.

    Twenty photos of one patient are not twenty observations: their answers are right or wrong together, more or less.
    How much so is estimated from the data, as the design effect (Kish 1965).
    """

    def __init__(self, names: Sequence[str] | NDArray[np.str_] | NDArray[np.intp]) -> None:
        """Take the name of the unit (n,) of each image."""
        _, self._unit_of, self._sizes = np.unique(np.asarray(names), return_inverse=True, return_counts=True)
        self._factor = 1.0

    @classmethod
    def single(cls, n: int) -> Units:
        """Return n images that are a unit each."""
        return cls(np.arange(n))

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self._sizes)

    @property
    def are_single(self) -> bool:
        """Whether each unit has one image."""
        return len(self._sizes) == len(self._unit_of)

    def __str__(self) -> str:
        images = count(len(self._unit_of), "image")
        return images if self.are_single else f"{images} in {count(len(self), 'group')}"

    def of(self, images: NDArray[np.bool_]) -> Units:
        """Return the units of some of the images; `images` (n,) is true for these."""
        return Units(self._unit_of[images]).worth_less(self._factor)

    def worth_less(self, factor: float) -> Units:
        """Return the same units, of which `factor` times as many count as one, for another reason."""
        units = copy(self)
        units._factor = self._factor * factor
        return units

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share (n,) that each image has of its unit: 1 divided by the number of images of the unit."""
        return np.asarray(1 / self._sizes[self._unit_of])

    def totals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums (units, ...) over the images of each unit of `values` (n, ...)."""
        totals = np.zeros((len(self), *values.shape[1:]))
        np.add.at(totals, self._unit_of, values)
        return totals

    def design_effect(self, values: NDArray[np.float64], low: float, high: float) -> float:
        """Return how many images count as one in the mean of `values` (n,), whose scale is from `low` to `high`.

        It is the variance of the mean with units as drawn, divided by that with images drawn singly: from 1, where
        units do not matter, to the mean size of the unit of an image, where all images of a unit are alike. Few
        mistakes say little about which of the two it is. So a tenth of a unit at each end of the scale is added to the
        data, which makes the effect large in doubt: without it, intervals of high accuracies were too short (coverage
        of 0.87 for 20 units of 16, an accuracy of 0.95 and a correlation of 0.5).
        """
        return self._factor * self._effect_of_units(values, low, high)

    def _effect_of_units(self, values: NDArray[np.float64], low: float, high: float) -> float:
        if self.are_single:
            return 1.0
        n, largest = len(values), float((self._sizes**2).sum() / len(values))
        images = n + 2 * _PRIOR * largest
        units = n / largest + 2 * _PRIOR  # as many of equal size
        mean = (float(values.sum()) + _PRIOR * largest * (low + high)) / images
        ends = (high - mean) ** 2 + (low - mean) ** 2
        of_units = float((self.totals(values - mean) ** 2).sum()) + _PRIOR * largest**2 * ends
        of_images = float(((values - mean) ** 2).sum()) + _PRIOR * largest * ends
        if of_images == 0:
            return largest
        return min(max(1.0, units / (units - 1) * of_units / of_images), largest)

    @property
    def degrees_of_freedom(self) -> float:
        """The degrees of freedom of an estimated variance: one less than there are units, if these are of equal size.

        Of unequal units the few large ones make the variance, so there are fewer (Satterthwaite 1946). With one for
        each unit, intervals held the truth in 52 to 87 of 100 simulated data sets with one or two large units.
        """
        squares = self._sizes.astype(float) ** 2
        return max(1.0, float(squares.sum() ** 2 / (squares**2).sum()) - 1)

    def quantile(self, error: float) -> float:
        """Return the two-sided quantile of an interval that may miss with probability `error`.

        It is the normal one for single images, and for units that of Student's t, since their variance is estimated.
        """
        if self.are_single:
            return NormalDist().inv_cdf(1 - error / 2)
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees_of_freedom, 1 - error / 2))

    def error(self, quantile: float) -> float:
        """Return the probability that an interval of this `quantile` misses."""
        if self.are_single:
            return 2 * NormalDist().cdf(-quantile)
        from scipy.special import stdtr

        return 2 * float(stdtr(self.degrees_of_freedom, -quantile))
