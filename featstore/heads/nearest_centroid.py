"""Head `nearest-centroid`: the class whose mean is nearest, after standard scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Rows
from featstore.heads.baseline_parameters import NearestCentroidParameters
from featstore.heads.folds import Fold
from featstore.heads.linear import LinearClassifier
from featstore.heads.linear_baseline import LinearBaseline, from_scores
from featstore.heads.selection import FoldScores, HeldOut, choose
from featstore.system.progress import OnStep

DEFAULT_TEMPERATURE = 1.0  # where there are no folds


@dataclass
class NearestCentroidHead(NearestCentroidParameters, LinearBaseline):
    """The score of a class is minus half the squared distance to its mean, divided by the number of features.

    The square of the row is the same for all classes. Without it the score is linear.
    """

    NAME: ClassVar[str] = "nearest-centroid"

    def train(self, rows: Rows, on_step: OnStep | None) -> LinearClassifier:
        from sklearn.preprocessing import StandardScaler

        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold
            scaler = StandardScaler().fit(rows.X[train])
            weights, intercept = _centroids(scaler.transform(rows.X[train]), rows.y[train])
            scores = scaler.transform(rows.X[held_out]) @ weights.T + intercept
            return lambda _: scores

        temperature = DEFAULT_TEMPERATURE
        if folds := rows.folds(self.folds):
            held_out = HeldOut(folds, rows.y, of_fold)
            temperature = choose("folds", [len(folds)], held_out.scores, held_out.truth, on_step).temperature
        scaler = StandardScaler()
        weights, intercept = _centroids(scaler.fit_transform(rows.X), rows.y)
        self._selected = {"fold_temperature": temperature}
        if len(weights) == 2:
            weights, intercept = np.diff(weights, axis=0), np.diff(intercept)
        return from_scores(weights, intercept, scaler.mean_, scaler.scale_, len(rows.X), temperature)


def _centroids(X: NDArray[np.float32], y: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights (classes, width) and the intercepts (classes,) of the scores."""
    means = np.stack([X[y == label].mean(axis=0, dtype=np.float64) for label in np.unique(y)])
    return means / X.shape[1], -(means**2).mean(axis=1) / 2
