"""Head `naive-bayes`: each class is a normal distribution whose features are independent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.array_file import check_floats
from featstore.heads.baseline import Baseline, Rows
from featstore.heads.baseline_parameters import NaiveBayesParameters
from featstore.heads.folds import Fold
from featstore.heads.logits import probabilities_of
from featstore.heads.selection import FoldScores, HeldOut, choose
from featstore.system.progress import OnStep

SMOOTHINGS = (1e-9, 1e-3, 1e-2, 0.1, 1.0, 10.0)
DEFAULT_SMOOTHING = 0.1  # where there are no folds


@dataclass(frozen=True)
class IndependentNormals:
    """A normal distribution of each feature in each class; raises ValueError if the fields do not match.

    mean, scale: (width,); features are standardised as (x - mean) / scale.
    centres, variances: (classes, width) of the standardised features.
    log_shares: (classes,) of the classes.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    centres: NDArray[np.float64]
    variances: NDArray[np.float64]
    log_shares: NDArray[np.float64]
    temperature: float

    def __post_init__(self) -> None:
        check_floats(self.mean, self.scale, self.centres, self.variances, self.log_shares)
        expected = (*self.log_shares.shape, *self.mean.shape)
        if len(expected) != 2 or self.mean.shape != self.scale.shape:
            raise ValueError("the shapes of its arrays do not match")
        if self.centres.shape != expected or self.variances.shape != expected:
            raise ValueError("the shapes of its arrays do not match")
        if not (self.temperature > 0 and (self.variances > 0).all()):
            raise ValueError("a variance or the temperature is not above 0")

    @property
    def width(self) -> int:
        return len(self.mean)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for X (n, width); raises ValueError for another width."""
        if X.shape[1:] != self.mean.shape:
            raise ValueError(f"expected rows of {self.width} features, found {X.shape}")
        return probabilities_of(self.scores((X - self.mean) / self.scale) / self.temperature)

    def scores(self, scaled: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the logarithms (n, classes) of share times density, but for a constant."""
        parts = zip(self.centres, self.variances, self.log_shares, strict=True)
        columns = [
            share - (((scaled - centre) ** 2 / variance).sum(axis=1) + np.log(variance).sum()) / 2
            for centre, variance, share in parts
        ]
        return np.stack(columns, axis=1)


@dataclass
class NaiveBayesHead(NaiveBayesParameters, Baseline):
    """The features of an image are far from independent, so the temperature is high.

    The smoothing is added to the variance of each feature. It is the one with the smallest log loss of rows that were
    held out.
    """

    NAME: ClassVar[str] = "naive-bayes"
    TRAINED: ClassVar[type[Any]] = IndependentNormals

    def train(self, rows: Rows, on_step: OnStep | None) -> IndependentNormals:
        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold

            def scores(smoothing: float) -> NDArray[np.float64]:
                normals = _describe(rows.X[train], rows.y[train], smoothing)
                return normals.scores((rows.X[held_out] - normals.mean) / normals.scale)

            return scores

        # Without folds a class has a single image: its variance is the smoothing, and a squared distance is about the
        # number of features.
        smoothing = self.smoothing or DEFAULT_SMOOTHING
        temperature = rows.X.shape[1] / min(smoothing, 1.0)
        if folds := rows.folds(self.folds):
            held_out = HeldOut(folds, rows.y, of_fold)
            grid = SMOOTHINGS if self.smoothing is None else (self.smoothing,)
            choice = choose("smoothing", grid, held_out.scores, held_out.truth, on_step)
            smoothing, temperature, self._curve = choice
        self._selected = {"smoothing": smoothing, "fold_temperature": temperature}
        return _describe(rows.X, rows.y, smoothing, temperature)


def _describe(
    X: NDArray[np.float32], y: NDArray[np.intp], smoothing: float, temperature: float = 1.0
) -> IndependentNormals:
    from sklearn.naive_bayes import GaussianNB
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaled = scaler.fit_transform(X.astype(np.float64))
    # Its smoothing is relative to the largest variance, which is 1 unless no feature varies.
    model = GaussianNB(var_smoothing=smoothing).fit(scaled, y)
    variances = np.maximum(model.var_, smoothing)
    return IndependentNormals(
        scaler.mean_, scaler.scale_, model.theta_, variances, np.log(model.class_prior_), temperature
    )
