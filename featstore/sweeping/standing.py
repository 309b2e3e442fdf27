"""Where the trials stand: the best, which are not significantly different, and intervals that allow for the choice.

Of a hundred equally good trials one is always best. So the differences hold together for all pairs of trials, and the
interval of the accuracy of a trial that may be the best allows for the choice, as in `evaluation/ranking.py`. All
intervals allow for the training images that the heads of the folds share, as those of `compare --folds` do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.paired import Difference
from featstore.evaluation.repeats import Repeats, effect_of_folds
from featstore.evaluation.simultaneous import single_error
from featstore.evaluation.units import ERROR, Units
from featstore.sweeping.scoring import Score
from featstore.sweeping.settings import By
from featstore.sweeping.trials import Trial

_PRUDENCE = 0.6  # of the error, as in `ranking`
_CHOICE = 0.005  # of the error: what is spent on finding the trials that may be the best
_JOINT = 120  # trials, up to which the correlations of all pairs are taken into account; Bonferroni's bound is for more


class Standing(NamedTuple):
    """A complete trial among the others.

    difference: that of the accuracy to the best trial. behind: that of the log loss, or of the error rate, whichever
    the trials are compared by; 0 or more. is_tied: whether it is not significantly different from the best in that.
    """

    trial: Trial
    score: Score
    accuracy: float
    accuracy_ci95: tuple[float, float]
    log_loss: float
    behind: Difference
    is_tied: bool


def order(scores: Mapping[Trial, Score], by: By) -> list[Trial]:
    """Return the complete trials, best first; those that are equal in one measure are ordered by the other."""
    other: By = "accuracy" if by == "log-loss" else "log-loss"
    complete = [trial for trial, score in scores.items() if score.is_complete]
    # Rounded: means over the same images in another order may differ in the last bit. Then by name, not by time.
    return sorted(
        complete, key=lambda t: (round(scores[t].mean(by), 9), round(scores[t].mean(other), 9), str(t.describe()))
    )


def stand(scores: Mapping[Trial, Score], by: By, units: Units, fold: NDArray[np.intp]) -> list[Standing]:
    """Return the complete trials, best first; `fold` (n,) is the number of the fold that held out each image."""
    trials = order(scores, by)
    values = np.stack([scores[trial].values(by) for trial in trials], axis=1)
    right = np.stack([scores[trial].right for trial in trials], axis=1).astype(float)
    together = _joint_error(values, units, ERROR)
    behind = [difference(values[:, i], values[:, 0], by, units, fold, together) for i in range(len(trials))]
    near = _may_be_best(values, by, units, fold)
    chosen = ERROR
    if len(trials) > 1:
        chosen = single_error(right[:, near], np.eye(len(near)), units, ERROR - _CHOICE)
    return [
        Standing(
            trial,
            scores[trial],
            accuracy=float(right[:, i].mean()),
            accuracy_ci95=_accuracy_interval(right[:, i], units, fold, chosen if i in near else ERROR),
            log_loss=scores[trial].mean("log-loss"),
            behind=behind[i],
            is_tied=behind[i].low <= 0,
        )
        for i, trial in enumerate(trials)
    ]


def _accuracy_interval(
    right: NDArray[np.float64], units: Units, fold: NDArray[np.intp], error: float
) -> tuple[float, float]:
    return accuracy_interval(right, units.worth_less(Repeats(right[None], fold[None]).effect(units)), error)


def _may_be_best(values: NDArray[np.float64], by: By, units: Units, fold: NDArray[np.intp]) -> list[int]:
    """Return the trials that might have come out best on other images: less than two half intervals behind."""
    error = _joint_error(values, units, _CHOICE)
    lags = [difference(column, values[:, 0], by, units, fold, error) for column in values.T]
    return [i for i, lag in enumerate(lags) if i == 0 or 2 * lag.low - lag.value <= 0]


def _joint_error(values: NDArray[np.float64], units: Units, error: float) -> float:
    """Return the error of each interval with which those of all pairs of columns hold together."""
    n = values.shape[1]
    if n < 3:
        return error
    if n > _JOINT:
        return error / math.comb(n, 2)
    pairs = np.zeros((n, math.comb(n, 2)))
    for column, (one, other) in enumerate(combinations(range(n), 2)):
        pairs[one, column], pairs[other, column] = 1.0, -1.0
    return single_error(values, pairs, units, _PRUDENCE * error)


def difference(
    values: NDArray[np.float64],
    best: NDArray[np.float64],
    by: By,
    units: Units,
    fold: NDArray[np.intp],
    error: float = ERROR,
) -> Difference:
    """Return the mean of `values` (n,) less that of `best` (n,), with an interval that misses with `error`.

    fold: (n,) as for `stand`.
    """
    if np.array_equal(values, best):
        return Difference(0.0, 0.0, 0.0)
    if by == "accuracy":
        return Repeats(values[None], fold[None]).minus(Repeats(best[None], fold[None]), units, error)
    return _mean_difference(values, best, units, fold, error)


def _mean_difference(
    a: NDArray[np.float64], b: NDArray[np.float64], units: Units, fold: NDArray[np.intp], error: float
) -> Difference:
    """Return the difference of means of numbers of any size; the images of a unit count together."""
    d = a - b
    value = float(d.mean())
    if len(units) < 2:
        return Difference(value, -math.inf, math.inf)
    of_one = float((units.totals(d - value) ** 2).sum()) * len(units) / (len(units) - 1) / len(d)
    effect = effect_of_folds(d[None], fold[None], of_one)
    half = units.quantile(error) * math.sqrt(of_one * effect / len(d))
    return Difference(value, value - half, value + half)
