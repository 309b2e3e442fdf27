"""Probabilities of the labels of images, from heads that were not trained on these images nor on copies of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import muted_warnings
from featstore.heads.folds import Fold, make_folds
from featstore.heads.logistic import C_GRID, CV_TOLERANCE, STOP_RATIO, TOLERANCE
from featstore.heads.logistic_fit import LogisticFit
from featstore.heads.logits import probabilities_of
from featstore.heads.selection import FoldScores, HeldOut, choose
from featstore.system.progress import OnStep

FOLDS = 5
_MAX_ITER = 1000


@dataclass(frozen=True)
class OutOfFold:
    """The probabilities of images that were held out.

    Attributes:
        probabilities: (n, classes), calibrated by a temperature; rows of zeros for images that were never held out.
        held_out: (n,), whether an image was. One whose class has a single unit is not: nothing else shows its class.
        C: The penalty that was chosen, as in the head `logistic`.
        folds: The folds, for the same images under other labels.
    """

    probabilities: NDArray[np.float64]
    held_out: NDArray[np.bool_]
    C: float
    folds: tuple[Fold, ...]


def out_of_fold(
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    units: Sequence[str],
    seed: int,
    on_step: OnStep | None = None,
) -> OutOfFold | None:
    """Return the probabilities of `classes` classes for the images X (n, width) of the classes y (n,).

    The head is a logistic regression of standardised features. Its C and its temperature are those with the smallest
    log loss of the images held out. All images of a unit are in one fold: a copy in the training rows would vouch for
    a wrong label. None if fewer than two classes have two units or more.
    """
    names = np.asarray(units)
    with muted_warnings():
        folds = make_folds(y, FOLDS, seed, names if len(np.unique(names)) < len(names) else None)
    return _fit(X, y, classes, tuple(folds), C_GRID, on_step)


def with_labels(X: NDArray[np.float32], y: NDArray[np.intp], before: OutOfFold) -> OutOfFold | None:
    """Return what `before` would have been with the labels y: the same folds and C, trained again."""
    return _fit(X, y, before.probabilities.shape[1], before.folds, (before.C,), None)


def _fit(
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    folds: tuple[Fold, ...],
    values: Sequence[float],
    on_step: OnStep | None,
) -> OutOfFold | None:
    from threadpoolctl import threadpool_limits

    used = [fold for fold in folds if len(np.unique(y[fold[0]])) > 1]
    if not used:
        return None
    scores: dict[float, NDArray[np.float64]] = {}

    def of_fold(fold: Fold) -> FoldScores:
        trained, held_out = fold
        fit = LogisticFit(X, y, trained, _MAX_ITER)

        def of_value(C: float) -> NDArray[np.float32]:
            # As the head has it in its folds: a looser tolerance, but below the first gradient.
            fit.solve(C, max(TOLERANCE, min(CV_TOLERANCE, 1 / (C * len(trained)))))
            return fit.logits(held_out)

        return of_value

    with threadpool_limits(1):  # sums of several threads are not the same twice
        all_folds = HeldOut(used, y, of_fold)

        def scores_of(C: float) -> NDArray[np.float64]:
            scores[C] = all_folds.scores(C)
            return scores[C]

        choice = choose("C", values, scores_of, all_folds.truth, on_step, STOP_RATIO)
    rows = np.concatenate([held_out for _, held_out in used])
    found = probabilities_of(scores[choice.value] / choice.temperature)
    probabilities = np.zeros((len(y), classes))
    probabilities[rows, : found.shape[1]] = found
    return OutOfFold(probabilities, np.isin(np.arange(len(y)), rows), float(choice.value), folds)
