"""Logistic regression of some of the rows, scaled by themselves, without a copy of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.heads.folds import Fold
from featstore.heads.logits import loss_and_accuracy, probabilities_of
from featstore.heads.selection import two_columns

_BLOCK = 1024  # rows that are in memory once more, in float64


class LogisticFold:
    """One fold of the cross-validation; each fit starts from the solution for the C before, which is close.

    The rows that are not trained on have a weight of zero, and the scaling of the fold is part of the weights: a copy
    of the rows for each fold took five times their memory. The loss is that of scikit-learn, and so is the solver.
    """

    def __init__(
        self, X: NDArray[np.float32], y: NDArray[np.intp], fold: Fold, max_iter: int, tolerance: float
    ) -> None:
        train, self._held_out = fold
        labels = np.unique(y[train])
        self._X, self._max_iter, self._tolerance = X, max_iter, tolerance
        self._truth = np.searchsorted(labels, y[self._held_out])
        self._weights = np.zeros(len(X), np.float32)
        self._weights[train] = 1 / len(train)
        self._samples = len(train)
        self._mean, self._scale = self._moments()
        outputs = len(labels) if len(labels) > 2 else 1  # two classes have one logit, that of the second
        self._targets = np.zeros((len(X), outputs), np.float32)
        self._targets[train] = (y[train, None] == labels[-outputs:]).astype(np.float32)
        self._solution = np.zeros((outputs, X.shape[1] + 1))

    def score(self, C: float) -> tuple[float, float]:
        """Fit with this C; return (log loss, accuracy) on the held-out rows."""
        from scipy.optimize import minimize

        found = minimize(
            self._loss,
            self._solution.ravel(),
            args=(1 / (C * self._samples),),
            method="L-BFGS-B",
            jac=True,
            options={
                "maxiter": self._max_iter,
                "maxls": 50,
                "gtol": self._tolerance,
                "ftol": 64 * np.finfo(np.float64).eps,
            },
        )
        self._solution = found.x.reshape(self._solution.shape)
        logits = two_columns(self._logits(self._solution)[self._held_out])
        loss, accuracy = loss_and_accuracy(probabilities_of(logits), self._truth)
        return float(loss), float(accuracy)

    def _logits(self, solution: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the logits (n, outputs) of all rows."""
        weights = solution[:, :-1] / self._scale
        shift = solution[:, -1] - weights @ self._mean
        return np.asarray(self._X @ weights.T.astype(np.float32) + shift.astype(np.float32))

    def _loss(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        """Return the mean log loss of the rows with half the penalty on the squared weights, and its gradient."""
        solution = flat.reshape(self._solution.shape)
        logits = self._logits(solution)
        top = np.maximum(logits.max(axis=1, keepdims=True), 0 if logits.shape[1] == 1 else -np.inf)
        shares = np.exp(logits - top)
        total = shares.sum(axis=1, keepdims=True) + (np.exp(-top) if logits.shape[1] == 1 else 0)
        losses = (np.log(total) + top)[:, 0] - (logits * self._targets).sum(axis=1)
        shares /= total
        shares -= self._targets
        shares *= self._weights[:, None]
        sums = shares.sum(axis=0, dtype=np.float64)
        gradient = np.empty_like(solution)
        gradient[:, :-1] = (shares.T @ self._X - np.outer(sums, self._mean)) / self._scale
        gradient[:, :-1] += penalty * solution[:, :-1]
        gradient[:, -1] = sums
        loss = float(losses.astype(np.float64) @ self._weights) + penalty / 2 * float((solution[:, :-1] ** 2).sum())
        return loss, gradient.ravel()

    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean and the deviation (width,) of the rows to train on; 1 where a feature does not vary."""
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(self._X), _BLOCK)]
        mean = sum(self._weights[block].astype(np.float64) @ self._X[block] for block in blocks)
        squares = sum(self._weights[block].astype(np.float64) @ (self._X[block] - mean) ** 2 for block in blocks)
        scale = np.sqrt(squares)
        return np.asarray(mean), np.where(scale > 1e-6, scale, 1.0)


def standardised(
    X: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return the standardised rows, with the mean and the deviation of each feature, as `StandardScaler` has them.

    It works in blocks: of all rows at once, it would need three more copies.
    """
    from sklearn.preprocessing import StandardScaler

    scaler, scaled = StandardScaler(), np.empty_like(X)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(X), _BLOCK)]
    for block in blocks:
        scaler.partial_fit(X[block])
    for block in blocks:
        scaled[block] = scaler.transform(X[block])
    return scaled, scaler.mean_, scaler.scale_
