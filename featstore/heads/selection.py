"""The choice of a parameter by the log loss of rows that were held out, at the temperature that is best for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.heads.folds import Fold, in_threads
from featstore.heads.interface import Curve
from featstore.heads.logits import loss_and_accuracy, probabilities_of
from featstore.heads.temperature import fit_temperature
from featstore.system.progress import OnStep

STOP_RATIO = 1.1  # of the loss to the smallest one so far: more than the noise of five folds

FoldScores = Callable[[Any], NDArray[np.floating[Any]]]  # of a value: the scores of the held-out rows of a fold


class Choice(NamedTuple):
    """The value with the smallest loss, the temperature of its scores, and the losses of all values."""

    value: Any
    temperature: float
    curve: Curve


class HeldOut:
    """The scores of the held-out rows of all folds, for any value of a parameter.

    of_fold: given a fold, returns a function from a value to the scores (rows, classes of the fold) of its held-out
    rows; for two classes (rows,) or (rows, 1) is the score of the second. What does not depend on the value, such as a
    scaling, is done once. in_turn: whether it has threads of its own, so that the folds are done one after the other.
    """

    def __init__(
        self, folds: Sequence[Fold], y: NDArray[np.intp], of_fold: Callable[[Fold], FoldScores], in_turn: bool = False
    ) -> None:
        self._folds, self._classes = folds, int(y.max()) + 1
        self._known = [np.unique(y[train]) for train, _ in folds]
        self._scores_of = [of_fold(fold) for fold in folds] if in_turn else in_threads(of_fold, folds)
        self.truth = np.concatenate([y[held_out] for _, held_out in folds])

    def scores(self, value: Any) -> NDArray[np.float64]:
        """Return (rows, classes); -inf for a class that the fold of a row did not train on."""
        found = in_threads(lambda scores_of: scores_of(value), self._scores_of)
        return np.concatenate([self._spread(*part) for part in zip(found, self._known, strict=True)])

    def _spread(self, scores: NDArray[np.floating[Any]], known: NDArray[np.intp]) -> NDArray[np.float64]:
        spread = np.full((len(scores), self._classes), -np.inf)
        spread[:, known] = two_columns(scores)
        return spread


def choose(
    name: str,
    values: Sequence[Any],
    scores_of: Callable[[Any], NDArray[np.float64]],
    truth: NDArray[np.intp],
    on_step: OnStep | None = None,
    stop_ratio: float = np.inf,
) -> Choice:
    """Return the one of `values` whose scores have the smallest log loss. The first of equals wins.

    scores_of: returns the scores (n, classes) of rows that were held out. truth: (n,) their classes.
    stop_ratio: ends the search where a loss is larger than the smallest one by this factor.
    """
    temperatures: list[float] = []
    losses: list[float] = []
    accuracies: list[float] = []
    for place, value in enumerate(values):
        scores = scores_of(value)
        temperatures.append(fit_temperature(scores, truth))
        loss, accuracy = loss_and_accuracy(probabilities_of(scores / temperatures[-1]), truth)
        losses.append(float(loss))
        accuracies.append(float(accuracy))
        if on_step:
            on_step(place + 1, len(values))
        if losses[-1] > stop_ratio * min(losses):
            break
    best = int(np.argmin(losses))
    series = {"cv_log_loss": losses, "cv_accuracy": accuracies}
    curve = Curve(name, [float(value) for value in values[: len(losses)]], series, log_x=True)
    if len(values) == 1:  # nothing was chosen
        curve = Curve(name, [], {}, log_x=True)
    return Choice(values[best], temperatures[best], curve)


def two_columns(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return scores (n, classes); the score of the second of two classes is the second column, after one of zeros."""
    wide = np.asarray(scores, np.float64).reshape(len(scores), -1)
    return np.hstack([np.zeros_like(wide), wide]) if wide.shape[1] == 1 else wide
