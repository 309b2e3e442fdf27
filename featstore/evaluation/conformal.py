"""Split conformal prediction: sets of classes that hold the right one in a promised share of new images.

The score of an image is 1 minus the probability of its right class. A set has all classes whose score is not above a
quantile of the scores of validation images (LAC: Sadinle, Lei and Wasserman 2019). The promise needs no model of the
head. It needs new images that are drawn like those of validation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError, param
from featstore.evaluation.units import Units

_DECIMALS = 6  # of the scores that are kept; rounded up, so that no set loses a class by it
_ROUNDING = 1e-9  # of floats: 0.9 * 10 must not count as more than 9


def scores_of(
    probabilities: NDArray[np.float64], truth: NDArray[np.intp], units: Units | None = None
) -> tuple[float, ...]:
    """Return the scores to keep, in rising order: one for each image, or for each unit.

    An image of a new group is covered too if each group weighs the same, and its images share its weight (Lee, Barber
    and Willett 2023). So the k-th score is the smallest one that images with a weight of k groups do not exceed.

    Args:
        probabilities: (n, classes).
        truth: (n,) column of the right class of each image.
        units: Which images belong together; by default each is a unit of its own.
    """
    scores = 1 - probabilities[np.arange(len(truth)), truth].astype(np.float64)
    kept = np.ceil(scores * 10**_DECIMALS) / 10**_DECIMALS
    order = np.argsort(kept, kind="stable")
    if units is None or units.are_single:
        return tuple(kept[order].tolist())
    weight = np.cumsum(units.shares[order])
    places = np.searchsorted(weight, np.arange(1, len(units) + 1) - _ROUNDING)
    return tuple(kept[order][np.minimum(places, len(kept) - 1)].tolist())


def threshold_of(scores: Sequence[float], level: float) -> float:
    """Return the largest score that a class in a set may have, for a promise of `level`, between 0 and 1.

    It is the score of rank ceil((n + 1) level). Raises UsageError if there are fewer scores than that.
    """
    rank = math.ceil((len(scores) + 1) * level - _ROUNDING)
    if rank <= len(scores):
        return scores[rank - 1]
    found = len(scores)
    most = math.floor(100 * found / (found + 1)) / 100
    raise UsageError(
        f"{param('unsure', level)}: needs {scores_needed(level)} validation images, or groups of them, found {found}: "
        f"ask for {most:g} or less, or train with more validation images"
    )


def classes_in_sets(probabilities: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return which classes (n, classes) are in the set of each image.

    The most probable class always is: without this rule a good head would get empty sets at a low level.
    """
    inside = 1 - probabilities <= threshold + _ROUNDING
    inside[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return np.asarray(inside)


def scores_needed(level: float) -> int:
    """Return how many scores a promise of `level` needs at least."""
    return math.ceil(level / (1 - level) - _ROUNDING)
