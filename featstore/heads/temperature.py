"""The temperature: the one number that turns the scores of a classifier into probabilities, and changes no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDEST = 7.0  # as a logarithm: between 0.001 and 1,000 median margins


def fit_temperature(scores: NDArray[np.floating[Any]], targets: NDArray[np.intp]) -> float:
    """Return the T for which the softmax of `scores` / T has the smallest log loss.

    A row is added whose answer is wrong by the median margin of the others, in the manner of Laplace's rule of
    succession. Without it T would be 0 where all rows are right, and the loss of the first mistake infinite.

    scores: (n, classes) of rows that were not trained on; -inf for a class that the training did not have.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(targets))
    # What the other classes have more than the right one. The loss of a row is log(1 + the sum of their exponentials).
    more = scores - scores[rows, targets][:, None]
    more[rows, targets] = -np.inf
    margins = np.abs(more.max(axis=1))
    unit = float(np.median(margins[margins > 0])) if (margins > 0).any() else 1.0
    more /= unit

    def loss(log_strength: float) -> float:
        strength = np.exp(log_strength)
        return float(_log_one_plus_sum(strength * more).sum() + np.logaddexp(0, strength))

    found = minimize_scalar(loss, bounds=(-_WIDEST, _WIDEST), method="bounded", options={"xatol": 1e-4})
    return float(unit / np.exp(found.x))


def _log_one_plus_sum(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return (n,): log(1 + the sum of the exponentials of each row), without overflow."""
    top = np.maximum(logits.max(axis=1), 0)
    return np.asarray(top + np.log(np.exp(-top) + np.exp(logits - top[:, None]).sum(axis=1)))
