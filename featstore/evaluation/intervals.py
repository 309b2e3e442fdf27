"""Intervals of accuracies."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.units import ERROR, Units


def accuracy_interval(
    right: NDArray[np.float64], units: Units | None = None, error: float = ERROR
) -> tuple[float, float]:
    """Return the interval (low, high) of the mean of `right` (n,), which misses the truth with probability `error`.

    It is the score interval of as many images as the `units` are worth (Korn & Graubard 1998, Survey Methodology
    24:193, with Wilson's interval). Repetitions, which make `right` a share, do not narrow it: they add no images.
    """
    units = units or Units.single(len(right))
    size = len(right) / units.design_effect(right, 0.0, 1.0)
    return score_interval(float(right.mean()) * size, size, units.quantile(error))


def mean_over_classes_interval(
    right: NDArray[np.float64], truth: NDArray[np.intp], units: Units | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of the mean over the classes of the share that is `right` (n,); `truth` has the classes.

    It is the wider of two, each of which is too short where the other is not. The first puts the intervals of the
    single classes together (Zou, Huang & Zhang 2009, Biometrical Journal 51:1070): a class of three images makes it
    wide. It is too short for many classes of an image or two, whose intervals are one-sided. The second is the score
    interval of as many images as a mean with these weights is worth (Kish 1965). It is too short where the small
    classes are the difficult ones.
    """
    units = units or Units.single(len(right))
    members = [truth == name for name in np.unique(truth)]
    shares = np.array([right[some].mean() for some in members])
    ends = np.array([accuracy_interval(right[some], units.of(some)) for some in members])
    mean = float(shares.mean())
    below, above = (np.sqrt(((ends.T - shares) ** 2).sum(axis=1)) / len(members)).tolist()
    size = len(members) ** 2 / sum(1 / int(some.sum()) for some in members) / units.design_effect(right, 0.0, 1.0)
    low, high = score_interval(mean * size, size, units.quantile(ERROR))
    return max(0.0, min(low, mean - below)), min(1.0, max(high, mean + above))


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927), which is sound near 0 and 1 as well."""
    return score_interval(successes, trials, NormalDist().inv_cdf(1 - ERROR / 2))


def score_interval(successes: float, trials: float, z: float) -> tuple[float, float]:
    """Return the score interval of a proportion for the normal quantile `z`; numbers need not be whole."""
    p, z2 = successes / trials, z**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(max(0.0, p * (1 - p)) / trials + z2 / (4 * trials**2))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
