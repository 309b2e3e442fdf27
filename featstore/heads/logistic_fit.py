"""Logistic regression of some of the rows, standardised by themselves, without a copy of many of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 256  # rows that are in memory once more: of 1,024 numbers, they fit into the cache of a core
_FEW = 2**22  # numbers that are standardised once and kept, as it costs as much as the loss of so few


class Solution(NamedTuple):
    """Weights (outputs, width + 1) of standardised features, the intercept last; two classes have one output.

    converged: whether the solver ended before `max_iter` did.
    """

    weights: NDArray[np.float64]
    converged: bool


class LogisticFit:
    """The fits of the same rows for one C after another; each starts from the one before, which is close.

    The loss is that of scikit-learn, and so is the solver. Rows are picked and standardised block by block whenever
    the loss is computed, unless they are few: a copy for each fold took five times the memory of the rows.
    """

    def __init__(self, X: NDArray[np.float32], y: NDArray[np.intp], rows: NDArray[np.intp], max_iter: int) -> None:
        from sklearn.preprocessing import StandardScaler

        self._X, self._rows, self._max_iter = X, rows, max_iter
        self.labels, self._y = np.unique(y[rows], return_inverse=True)
        scaler = StandardScaler()
        for block in _blocks(len(rows)):
            scaler.partial_fit(X[rows[block]])
        self.mean: NDArray[np.float64] = scaler.mean_
        self.scale: NDArray[np.float64] = scaler.scale_
        self._kept = self._standardised(rows) if len(rows) * X.shape[1] <= _FEW else None
        outputs = len(self.labels) if len(self.labels) > 2 else 1
        self._weights = np.zeros((outputs, X.shape[1] + 1))

    def solve(self, C: float, tolerance: float) -> Solution:
        """Return the best weights for this C; no number of the gradient is larger than the tolerance."""
        from scipy.optimize import minimize

        found = minimize(
            self._loss,
            self._weights.ravel(),
            args=(1 / (C * len(self._rows)),),
            method="L-BFGS-B",
            jac=True,
            options={
                "maxiter": self._max_iter,
                "maxls": 50,
                "gtol": tolerance,
                "ftol": 64 * np.finfo(np.float64).eps,
            },
        )
        self._weights = found.x.reshape(self._weights.shape)
        return Solution(self._weights, found.nit < self._max_iter)

    def logits(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the logits (n, outputs) of any rows, by the last solution."""
        return np.concatenate([_logits(self._standardised(rows[block]), self._weights) for block in _blocks(len(rows))])

    def _standardised(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        X = self._X[rows]
        X -= self.mean.astype(np.float32)
        X /= self.scale.astype(np.float32)
        return X

    def _loss(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        """Return the mean log loss of the rows with half the penalty on the squared weights, and its gradient."""
        weights = flat.reshape(self._weights.shape)
        loss, gradient = 0.0, np.zeros_like(weights)
        for block in _blocks(len(self._rows)):
            X = self._standardised(self._rows[block]) if self._kept is None else self._kept[block]
            losses, errors = losses_and_errors(_logits(X, weights), self._y[block])
            loss += float(losses.sum(dtype=np.float64))
            gradient[:, :-1] += errors.T @ X
            gradient[:, -1] += errors.sum(axis=0)
        loss, gradient = loss / len(self._rows), gradient / len(self._rows)
        gradient[:, :-1] += penalty * weights[:, :-1]
        return loss + penalty / 2 * float((weights[:, :-1] ** 2).sum()), gradient.ravel()


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK))


def _logits(X: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(X @ weights[:, :-1].T.astype(np.float32) + weights[:, -1].astype(np.float32))


def losses_and_errors(
    logits: NDArray[np.float32], y: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the log loss (n,) of each row, and its derivative (n, outputs) by the logits."""
    if logits.shape[1] == 1:  # the first of two classes has a logit of 0
        losses, errors = losses_and_errors(np.hstack([np.zeros_like(logits), logits]), y)
        return losses, errors[:, 1:]
    rows = np.arange(len(y))
    top = logits.max(axis=1, keepdims=True)
    errors = np.exp(logits - top)
    total = errors.sum(axis=1, keepdims=True)
    losses = (np.log(total) + top)[:, 0] - logits[rows, y]
    errors /= total
    errors[rows, y] -= 1
    return losses, errors
