"""Logistic regressions with penalties of several strengths, trained by mini-batches side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.heads.logistic_fit import losses_and_errors

_MEAN, _SQUARES, _LEAST = 0.9, 0.999, 1e-7  # what Adam keeps of its means in a step, and its least divisor: Keras' own


class SideBySide:
    """The regressions of the same rows for each C of `strengths`, on features that are standardised already.

    What each lowers is that of scikit-learn, divided by the number of rows: the mean log loss, and half the squared
    weights divided by C and that number. The steps are those of Adam (Kingma and Ba 2015). One product of matrices
    serves all strengths, and the rows are read once for all of them.

    weights: (strengths, outputs, width + 1) float32, the intercept last; two classes have one output.
    """

    def __init__(self, strengths: Sequence[float], rows: int, width: int, classes: int) -> None:
        outputs = classes if classes > 2 else 1
        self.weights = np.zeros((len(strengths), outputs, width + 1), np.float32)
        self._penalties = (1 / (np.asarray(strengths) * rows)).astype(np.float32)[:, None, None]
        self._means, self._squares = np.zeros_like(self.weights), np.zeros_like(self.weights)
        self._steps = 0

    def step(self, X: NDArray[np.float32], y: NDArray[np.intp], rate: float) -> NDArray[np.float64]:
        """Take a step on rows X (n, width) of the classes y (n,); return what `measure` would have, before it."""
        logits = self._logits(X)
        gradient = np.empty_like(self.weights)
        figures, all_errors = _figures(logits, y)
        errors = all_errors / np.float32(len(X))
        flat = errors.transpose(0, 2, 1).reshape(-1, len(X))
        gradient[:, :, :-1] = (flat @ X).reshape(*self.weights.shape[:2], -1)
        gradient[:, :, :-1] += self._penalties * self.weights[:, :, :-1]
        gradient[:, :, -1] = errors.sum(axis=1)
        self._move(gradient, rate)
        return figures

    def measure(self, X: NDArray[np.float32], y: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return (2, strengths): the sum of the log losses of the rows, and how many of them are answered right."""
        return _figures(self._logits(X), y)[0]

    def _logits(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (strengths, n, outputs)."""
        strengths, outputs, _ = self.weights.shape
        products = X @ self.weights[:, :, :-1].reshape(strengths * outputs, -1).T
        return products.reshape(len(X), strengths, outputs).transpose(1, 0, 2) + self.weights[:, None, :, -1]

    def _move(self, gradient: NDArray[np.float32], rate: float) -> None:
        self._steps += 1
        self._means += (1 - _MEAN) * (gradient - self._means)
        self._squares += (1 - _SQUARES) * (np.square(gradient) - self._squares)
        # Both means begin at 0, and so are too small at first by a known factor.
        unbiased = rate * np.sqrt(1 - _SQUARES**self._steps) / (1 - _MEAN**self._steps)
        self.weights -= np.float32(unbiased) * self._means / (np.sqrt(self._squares) + _LEAST)


def _figures(logits: NDArray[np.float32], y: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return what `SideBySide.measure` returns, and the errors: derivatives of the losses by the logits."""
    figures, errors = np.empty((2, len(logits))), np.empty_like(logits)
    for place, some in enumerate(logits):
        losses, errors[place] = losses_and_errors(some, y)
        answers = some.argmax(axis=1) if some.shape[1] > 1 else some[:, 0] > 0
        figures[:, place] = losses.sum(dtype=np.float64), (answers == y).sum()
    return figures, errors
