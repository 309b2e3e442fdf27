"""Head `lda`: linear discriminant analysis; one decomposition of the covariance serves all shrinkages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Rows
from featstore.heads.baseline_parameters import LdaParameters
from featstore.heads.folds import Fold
from featstore.heads.interface import Curve
from featstore.heads.linear import LinearClassifier
from featstore.heads.linear_baseline import LinearBaseline, from_scores
from featstore.heads.selection import Choice, FoldScores, HeldOut, choose
from featstore.system.progress import OnStep

SHRINKAGES = (0.99, 0.97, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.03, 0.01)
DEFAULT_SHRINKAGE = 0.5  # where there are no folds


@dataclass
class LdaHead(LdaParameters, LinearBaseline):
    """Each class is a normal distribution around its mean, all with one covariance, on standardised features.

    The covariance is mixed with its own mean variance in all directions; the share of that is the shrinkage. It is the
    one with the smallest log loss of rows that were held out. The formula of Ledoit and Wolf, which scikit-learn's
    `auto` uses, takes less than is good for these features.
    """

    NAME: ClassVar[str] = "lda"

    def train(self, rows: Rows, on_step: OnStep | None) -> LinearClassifier:
        fits = LdaFits(rows, self.folds)
        choice = fits.choose(SHRINKAGES if self.shrinkage is None else (self.shrinkage,), on_step)
        self._curve = choice.curve
        self._selected = {"shrinkage": choice.value, "fold_temperature": choice.temperature}
        return fits.classifier(choice)


class LdaFits:
    """The discriminant analyses of some rows, for any shrinkage: what they share is computed once.

    folds: at most as many, in which the shrinkage and the temperature are chosen.
    """

    def __init__(self, rows: Rows, folds: int) -> None:
        from sklearn.preprocessing import StandardScaler

        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold
            scaler = StandardScaler().fit(rows.X[train])
            path = ShrinkagePath(scaler.transform(rows.X[train]), rows.y[train])
            out = scaler.transform(rows.X[held_out])

            def scores(shrinkage: float) -> NDArray[np.float64]:
                weights, intercept = path.solve(shrinkage)
                return np.asarray(out @ weights.T + intercept)

            return scores

        self._samples, self._scaler = len(rows.X), StandardScaler()
        self._path = ShrinkagePath(self._scaler.fit_transform(rows.X), rows.y)
        divided = rows.folds(folds)
        self._held_out = HeldOut(divided, rows.y, of_fold) if divided else None

    def choose(self, shrinkages: Sequence[float], on_step: OnStep | None = None) -> Choice:
        """Return the one of the shrinkages with the smallest log loss of held-out rows, and its temperature."""
        if self._held_out is None:
            shrinkage = shrinkages[0] if len(shrinkages) == 1 else DEFAULT_SHRINKAGE
            # Each class has a single image, and a squared distance is about the number of features.
            return Choice(shrinkage, float(len(self._scaler.mean_)), Curve("shrinkage", [], {}, log_x=True))
        return choose("shrinkage", shrinkages, self._held_out.scores, self._held_out.truth, on_step)

    def classifier(self, choice: Choice) -> LinearClassifier:
        """Return the analysis with a shrinkage, as a classifier at a temperature."""
        weights, intercept = self._path.solve(choice.value)
        if len(weights) == 2:
            weights, intercept = np.diff(weights, axis=0), np.diff(intercept)
        scaler = self._scaler
        return from_scores(weights, intercept, scaler.mean_, scaler.scale_, self._samples, choice.temperature)


class ShrinkagePath:
    """Linear discriminant analysis of X (n, width) for every shrinkage."""

    def __init__(self, X: NDArray[np.float32], y: NDArray[np.intp]) -> None:
        labels, places, counts = np.unique(y, return_inverse=True, return_counts=True)
        self._means = np.stack([X[y == label].mean(axis=0, dtype=np.float64) for label in labels])
        self._log_shares = np.log(counts / len(y))
        within = X - self._means[places]
        n, width = within.shape
        if n <= width:  # the directions without any variance need not be known
            variances, vectors = np.linalg.eigh(within @ within.T / n)
            kept = variances > variances[-1] * width * np.finfo(np.float64).eps
            self._variances = variances[kept]
            self._directions = within.T @ vectors[:, kept] / np.sqrt(n * self._variances)
        else:
            variances, self._directions = np.linalg.eigh(within.T @ within / n)
            self._variances = np.maximum(variances, 0)
        self._mean_variance = float(self._variances.sum() / width)
        self._variances = self._variances / (self._mean_variance or 1.0)

    def solve(self, shrinkage: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights (classes, width) and the intercepts (classes,) of the scores.

        They are the logarithms of the probabilities, times the mean variance. So they are of the same size where each
        class of a fold has one image, and no variance.
        """
        along = self._means @ self._directions
        inside = (along / ((1 - shrinkage) * self._variances + shrinkage)) @ self._directions.T
        weights = inside + (self._means - along @ self._directions.T) / shrinkage
        return weights, self._mean_variance * self._log_shares - (weights * self._means).sum(axis=1) / 2
