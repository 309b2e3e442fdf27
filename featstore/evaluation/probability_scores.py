"""Scores of the probabilities of each image: log loss and the score of Brier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.estimate import Estimate
from featstore.evaluation.units import ERROR, Units

_MISTAKES = 10  # below, the intervals of log losses held the truth in 43 to 92 of 100 simulated data sets


def log_losses(probabilities: NDArray[Any], truth: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log loss (n,) in nats of each row, for the column `truth` (n,) of its right class.

    Heads compute their probabilities from logits in float64, so the loss of a sure mistake is exact up to 700 nats. A
    probability of 0 counts as the smallest number of float64, which is 708 nats: every loss is finite.
    """
    selected = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(selected, np.finfo(np.float64).tiny, 1.0)))


def log_loss_interval(
    losses: NDArray[np.float64], right: NDArray[np.float64], units: Units
) -> tuple[float, float] | None:
    """Return the 95 % interval (low, high) of the mean of `losses` (n,); None for fewer than ten mistakes.

    A log loss comes from the mistakes, the sure ones above all, and nothing bounds the next one. So a few mistakes tell
    nothing of it. The interval is normal on a logarithmic scale.

    Args:
        losses: (n,) log loss of each image.
        right: (n,) 1 for a right answer, 0 for a wrong one.
        units: Which images belong together.
    """
    if (1 - right).sum() / units.design_effect(right, 0.0, 1.0) < _MISTAKES:
        return None
    mean = float(losses.mean())
    effect = units.design_effect(losses, 0.0, float(losses.max()))
    ratio = math.exp(units.quantile(ERROR) * float(losses.std(ddof=1)) * math.sqrt(effect / len(losses)) / mean)
    return mean / ratio, mean * ratio


def brier(probabilities: NDArray[Any], truth: NDArray[np.intp]) -> Estimate:
    """Return the mean squared distance of the probabilities from 1 for the right class and 0 for the others.

    It goes from 0 to 2, the sum over the classes, as in Brier 1950. For two classes it is half of that, from 0 to 1,
    which is the square for one of them: so scikit-learn and most papers have it.

    Args:
        probabilities: (n, classes).
        truth: (n,) position of the class of each image.
    """
    squares = squared_distances(probabilities, truth)
    return Estimate(float(squares.mean()), squares - squares.mean(), float(len(truth)))


def squared_distances(probabilities: NDArray[Any], truth: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the squared distance (n,) of each image, whose mean is the score of Brier."""
    distances = probabilities.astype(np.float64)
    distances[np.arange(len(truth)), truth] -= 1
    return np.asarray((distances**2).sum(axis=1) / (2 if probabilities.shape[1] == 2 else 1))
