"""What more images would be worth: a power law through the errors at several sizes of the training split.

The error of a classifier falls about as a power of the number of its training images (Hestness et al. 2017,
arXiv:1712.00409). The law is fitted to the largest sizes, as the first few images follow another one. How sure it is
comes from the bootstrap: the images that are measured on are drawn again, group by group, and so are the training sets.
All images can be drawn in one way only. Their set is as much a matter of luck as that of the size below it, whose draws
say how much that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.units import Units

LARGEST = 3  # sizes that the law is fitted to: with 4 it promised too much, as the exponent falls
LEAST = 3  # sizes that it takes
_SAMPLES = 1000
_ENDS = (2.5, 97.5)  # per cent
_PSEUDO = 0.5  # errors, and as many right answers: the logarithm of no error at all is not a number


class Estimate(NamedTuple):
    """A difference of accuracies with its 95 % interval."""

    value: float
    low: float
    high: float


class PowerLaw(NamedTuple):
    """The law `error = factor * size ** -exponent`, and samples (samples,) of both that say how sure it is."""

    factor: NDArray[np.float64]
    exponent: NDArray[np.float64]

    def error(self, size: float) -> NDArray[np.float64]:
        """Return the error (1 + samples,) at a size: that of the fit itself, then those of the samples."""
        return np.minimum(self.factor * size**-self.exponent, 1.0)


class Fitted(NamedTuple):
    """What the measured sizes say of larger ones.

    law: fitted to the largest sizes. missed: the accuracy at the largest size less what the smaller ones predict of it;
    None for too few sizes.
    """

    law: PowerLaw
    missed: Estimate | None

    def gain(self, size: float, larger: float) -> Estimate:
        """Return by how much the accuracy at `larger` is above that at `size`."""
        return _estimate(self.law.error(size) - self.law.error(larger))

    @property
    def holds(self) -> bool:
        """Whether the smaller sizes predict the largest one, as well as can be told."""
        return self.missed is None or self.missed.low <= 0 <= self.missed.high


def fit(sizes: Sequence[float], right: Sequence[NDArray[np.float64]], units: Units, seed: int = 0) -> Fitted | None:
    """Return the power law through `sizes` in rising order; None if there are fewer than `LEAST`.

    None as well if all images are right at the largest sizes, or all are wrong: drawing them again shows no spread, and
    the law would be as sure as can be that nothing changes.

    right: for each size (draws, n), whether each of n images was right; a size that can be drawn in one way only has
    one draw, and all others as many as each other. units: of the n images. The same `seed` gives the same samples.
    """
    if len(sizes) < LEAST or len({float(share) for of_size in right[-LARGEST:] for share in np.unique(of_size)}) == 1:
        return None
    errors = np.log(_sample_errors(right, units, seed))
    law = _through(sizes[-LARGEST:], errors[:, -LARGEST:])
    if len(sizes) == LEAST:
        return Fitted(law, None)
    before = _through(sizes[-LARGEST - 1 : -1], errors[:, -LARGEST - 1 : -1])
    return Fitted(law, _estimate(before.error(sizes[-1]) - np.exp(errors[:, -1])))


def _sample_errors(right: Sequence[NDArray[np.float64]], units: Units, seed: int) -> NDArray[np.float64]:
    """Return the error (1 + samples, sizes): as measured, then with images and training sets drawn again."""
    random = np.random.default_rng(seed)
    draws = max(len(of_size) for of_size in right)
    chances = np.full(len(units), 1 / len(units))
    weights = np.vstack([np.ones(len(units)), random.multinomial(len(units), chances, _SAMPLES)])
    chosen = np.vstack([np.arange(draws), random.integers(draws, size=(_SAMPLES, draws))])
    totals = weights @ units.totals(np.ones(right[0].shape[1]))
    columns: list[NDArray[np.float64]] = []
    luck = 0.0
    for of_size in right:
        wrong = weights @ units.totals(1 - of_size.T) / totals[:, None]  # (1 + samples, draws)
        if len(of_size) == draws:
            error = np.take_along_axis(wrong, chosen, axis=1).mean(axis=1)
            luck = float(wrong[0].std(ddof=1)) if draws > 1 else 0.0
        else:
            error = wrong[:, 0] + np.concatenate([[0.0], luck * random.standard_normal(_SAMPLES)])
        columns.append((totals * np.maximum(error, 0.0) + _PSEUDO) / (totals + 2 * _PSEUDO))
    return np.stack(columns, axis=1)


def _through(sizes: Sequence[float], log_errors: NDArray[np.float64]) -> PowerLaw:
    """Return the law by least squares of the logarithms (1 + samples, sizes)."""
    x = np.log(sizes)
    slope = (log_errors @ (x - x.mean())) / ((x - x.mean()) ** 2).sum()
    return PowerLaw(np.exp(log_errors.mean(axis=1) - slope * x.mean()), -slope)


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """Return the first of `values`, with the interval of the others."""
    low, high = np.percentile(values[1:], _ENDS).tolist()
    value = float(values[0])
    return Estimate(value, min(low, value), max(high, value))
