"""Head `rbf-svm`: standard scaling and a support vector machine with a Gaussian kernel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.array_file import check_floats
from featstore.heads.baseline import Baseline, Rows
from featstore.heads.baseline_parameters import RbfSvmParameters
from featstore.heads.folds import Fold
from featstore.heads.logits import probabilities_of
from featstore.heads.selection import STOP_RATIO, FoldScores, HeldOut, choose
from featstore.system.progress import OnStep

C_GRID = (0.1, 1.0, 10.0, 100.0)
DEFAULT_C, DEFAULT_TEMPERATURE = 1.0, 0.5  # where there are no folds; margins are about 1
_BLOCK = 1024  # rows whose kernel is in memory at once


@dataclass(frozen=True)
class KernelClassifier:
    """A softmax over sums of a Gaussian kernel; raises ValueError if the fields do not match.

    mean, scale: (width,); features are standardised as (x - mean) / scale.
    vectors: (n, width) float32, standardised. weights: (n, classes), or (n, 1) for two classes.
    intercept: (classes,), or (1,) for two classes.
    gamma: the kernel of two rows is exp(-gamma times their squared distance).
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    vectors: NDArray[np.float32]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    gamma: float
    temperature: float

    def __post_init__(self) -> None:
        check_floats(self.mean, self.scale, self.vectors, self.weights, self.intercept)
        if self.vectors.ndim != 2 or not self.mean.shape == self.scale.shape == self.vectors.shape[1:]:
            raise ValueError("the shapes of its arrays do not match")
        if self.intercept.ndim != 1 or self.weights.shape != (len(self.vectors), len(self.intercept)):
            raise ValueError("the shapes of its arrays do not match")
        if not (self.gamma > 0 and self.temperature > 0):
            raise ValueError("gamma or the temperature is not above 0")

    @property
    def width(self) -> int:
        return len(self.mean)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for X (n, width); raises ValueError for another width."""
        if X.shape[1:] != self.mean.shape:
            raise ValueError(f"expected rows of {self.width} features, found {X.shape}")
        parts = [self.scores((X[i : i + _BLOCK] - self.mean) / self.scale) for i in range(0, len(X), _BLOCK)]
        return probabilities_of(np.concatenate(parts) / self.temperature)

    def scores(self, scaled: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the logits before they are divided by the temperature."""
        kernel = gaussian_kernel(scaled.astype(np.float32), self.vectors, self.gamma)
        return np.asarray(kernel @ self.weights + self.intercept)


@dataclass
class RbfSvmHead(RbfSvmParameters, Baseline):
    """One machine for each pair of classes. The score of a class is the mean of its margins against all others.

    C is the one with the smallest log loss of rows that were held out. gamma is 1 divided by the width and the variance
    of the features, unless it is given. Time and memory grow with the square of the number of rows.
    """

    NAME: ClassVar[str] = "rbf-svm"
    TRAINED: ClassVar[type[Any]] = KernelClassifier

    def train(self, rows: Rows, on_step: OnStep | None) -> KernelClassifier:
        from sklearn.preprocessing import StandardScaler

        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold
            scaler = StandardScaler().fit(rows.X[train])
            machine = _Machine(scaler.transform(rows.X[train]), rows.y[train], self.gamma)
            kernel = gaussian_kernel(scaler.transform(rows.X[held_out]), machine.X, machine.gamma)

            def scores(C: float) -> NDArray[np.float64]:
                weights, intercept = machine.solve(C)
                return np.asarray(kernel @ weights + intercept)

            return scores

        C, temperature = self.C or DEFAULT_C, DEFAULT_TEMPERATURE
        if folds := rows.folds(self.folds):
            held_out = HeldOut(folds, rows.y, of_fold)
            grid = C_GRID if self.C is None else (self.C,)
            C, temperature, self._curve = choose("C", grid, held_out.scores, held_out.truth, on_step, STOP_RATIO)
        scaler = StandardScaler()
        machine = _Machine(scaler.fit_transform(rows.X), rows.y, self.gamma)
        weights, intercept = machine.solve(C)
        used = np.flatnonzero(np.abs(weights).sum(axis=1))
        self._selected = {"C": C, "gamma": machine.gamma, "fold_temperature": temperature}
        return KernelClassifier(
            scaler.mean_, scaler.scale_, machine.X[used], weights[used], intercept, machine.gamma, temperature
        )


class _Machine:
    """The machines of all pairs of classes on rows X (n, width) of the classes y for any C; the kernel is made once."""

    def __init__(self, X: NDArray[np.float32], y: NDArray[np.intp], gamma: float | None) -> None:
        self.X, self._classes = X, len(np.unique(y))
        self.gamma = gamma or 1 / (X.shape[1] * (float(X.var(dtype=np.float64)) or 1.0))
        self._y, self._kernel = y, gaussian_kernel(X, X, self.gamma)

    def solve(self, C: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights (n, classes) of the kernel and the intercepts (classes,); one of each for two classes."""
        from sklearn.svm import SVC

        model = SVC(C=C, kernel="precomputed").fit(self._kernel, self._y)
        if self._classes == 2:
            weights = np.zeros((len(self.X), 1))
            weights[model.support_, 0] = model.dual_coef_[0]
            return weights, model.intercept_
        # libsvm keeps the coefficients of a pair (i, j) in row j - 1 for the vectors of i, in row i for those of j.
        owner = np.repeat(np.arange(self._classes), model.n_support_)
        weights, intercept = np.zeros((len(self.X), self._classes)), np.zeros(self._classes)
        for pair, (i, j) in enumerate(combinations(range(self._classes), 2)):
            for side, row in ((i, j - 1), (j, i)):
                place = owner == side
                weights[model.support_[place], i] += model.dual_coef_[row, place]
                weights[model.support_[place], j] -= model.dual_coef_[row, place]
            intercept[i] += model.intercept_[pair]
            intercept[j] -= model.intercept_[pair]
        return weights / (self._classes - 1), intercept / (self._classes - 1)


def gaussian_kernel(X: NDArray[np.float32], Y: NDArray[np.float32], gamma: float) -> NDArray[np.float64]:
    """Return exp(-gamma times the squared distance) of each row of X to each of Y."""
    squares = (X**2).sum(axis=1)[:, None] + (Y**2).sum(axis=1) - 2 * (X @ Y.T)
    return np.asarray(np.exp(-gamma * np.maximum(squares, 0).astype(np.float64)))
