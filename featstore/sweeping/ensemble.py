"""The ensemble of a sweep: the mean of the best few, if it is better beyond noise on images that none has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.paired import Difference
from featstore.evaluation.probability_scores import log_losses
from featstore.evaluation.units import ERROR, Units
from featstore.sweeping.scoring import Score
from featstore.sweeping.settings import By
from featstore.sweeping.standing import difference
from featstore.sweeping.trials import Trial

MOST = 5  # members


class Ensemble(NamedTuple):
    """The mean of the probabilities of some trials.

    gain: its log loss or error rate less that of the best of them, with an interval that allows for all sizes tried.
    """

    members: tuple[Trial, ...]
    score: Score
    gain: Difference

    @property
    def is_better(self) -> bool:
        """Whether it is better than its best member beyond noise."""
        return self.gain.high < 0


def candidates(best_first: Sequence[Trial]) -> list[Trial]:
    """Return the trials that may be members: the best one of each head, on the features of the best trial.

    Other parameters of one head make the same mistakes, and their mean gains nothing.
    """
    found: dict[str, Trial] = {}
    for trial in best_first:
        if trial.recipe == best_first[0].recipe and trial.head != "ensemble":
            found.setdefault(trial.head, trial)
    return list(found.values())[:MOST]


def best_ensemble(
    members: Sequence[Trial],
    means: NDArray[np.float64],
    truth: NDArray[np.intp],
    by: By,
    units: Units,
    fold: NDArray[np.intp],
) -> Ensemble:
    """Return the best mean of the first two, three and more of `members`, which are in the order of their merit.

    means: (members, n, classes) probabilities of n images when they were held out: those of the first member alone, of
    the first two together, and so on. truth: (n,) their classes.
    fold: (n,) the folds that held them out.
    """
    alone = score_of(means[0], truth).values(by)
    found = []
    for size in range(2, len(members) + 1):
        score = score_of(means[size - 1], truth)
        gain = difference(score.values(by), alone, by, units, fold, ERROR / (len(members) - 1))
        found.append(Ensemble(tuple(members[:size]), score, gain))
    return min(found, key=lambda ensemble: ensemble.score.mean(by))


def score_of(probabilities: NDArray[np.float64], truth: NDArray[np.intp]) -> Score:
    """Return the score of probabilities (n, classes) for images of the classes `truth` (n,)."""
    losses = log_losses(probabilities, truth).astype(np.float32)
    return Score(losses, probabilities.argmax(axis=1) == truth, 0.0)
