"""Scores of how well the probability of a class ranks its images above the rest: AUROC and average precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.estimate import Estimate, Mean


class _Levels(NamedTuple):
    """The different probabilities of one class in rising order, and the images at each; ties share a level.

    of: (n,) level of each image. is_one: (n,) whether it is of the class. ones, rest: (levels,) how many are, and not.
    """

    of: NDArray[np.intp]
    is_one: NDArray[np.bool_]
    ones: NDArray[np.float64]
    rest: NDArray[np.float64]


class RankScores(NamedTuple):
    """Means over the classes that images have, each against the rest; None if all images are of one class.

    auroc: area under the ROC curve, the probability that an image of the class has a higher probability of it than one
        of the rest; equal ones count half.
    average_precision: mean over the images of the class of the precision among all that are ranked as high. Always
        giving the same probability has the share of the class.
    """

    auroc: Estimate | None
    average_precision: Estimate | None


def rank_scores(probabilities: NDArray[Any], truth: NDArray[np.intp]) -> RankScores:
    """Return both scores of `probabilities` (n, classes) of images whose class is at the place `truth` (n,)."""
    areas, precisions = Mean(), Mean()
    for levels in _each_class(probabilities, truth):
        areas.add(_auroc(levels))
        precisions.add(_average_precision(levels))
    return RankScores(areas.estimate(), precisions.estimate())


def _each_class(probabilities: NDArray[Any], truth: NDArray[np.intp]) -> Iterator[_Levels]:
    """Yield the levels of each class that some images have and others have not."""
    present = np.unique(truth)
    for place in present if len(present) > 1 else ():
        is_one = truth == place
        values, level = np.unique(probabilities[:, place], return_inverse=True)
        every, ones = (np.bincount(level, weights, len(values)).astype(float) for weights in (None, is_one))
        yield _Levels(level, is_one, ones, every - ones)


def _auroc(levels: _Levels) -> Estimate:
    level, is_one, ones, rest = levels
    below = (np.cumsum(rest) - rest / 2) / rest.sum()  # share of the rest that an image of the class outranks
    above = 1 - (np.cumsum(ones) - ones / 2) / ones.sum()  # share of the class that outranks an image of the rest
    value = float(below @ ones / ones.sum())
    # the structural components of DeLong, DeLong & Clarke-Pearson 1988
    influence = np.where(
        is_one, (below[level] - value) * len(level) / ones.sum(), (above[level] - value) * len(level) / rest.sum()
    )
    # the variance of an AUROC is at most that of a share of so many images (Birnbaum & Klose 1957)
    return Estimate(value, influence, float(min(ones.sum(), rest.sum())))


def _average_precision(levels: _Levels) -> Estimate:
    level, is_one, ones, rest = levels
    hits, ranked = (np.cumsum(counts[::-1])[::-1] for counts in (ones, ones + rest))  # at this level or above
    precision = hits / ranked
    value = float(precision @ ones / ones.sum())
    # An image raises or lowers the precision at its own level and at all below.
    raised = np.cumsum(ones * (ranked - hits) / ranked**2)
    lowered = np.cumsum(ones * hits / ranked**2)
    change = np.where(is_one, precision[level] + raised[level] - value, -lowered[level])
    return Estimate(value, change * len(level) / ones.sum(), float(ones.sum()))
