"""Predictions averaged over the views of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Average = Literal["probabilities", "logits", "features"]
AVERAGES: tuple[Average, ...] = get_args(Average)


def predict_views(
    predict_proba: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    X: NDArray[np.float32],
    average: str = "probabilities",
) -> NDArray[np.float64]:
    """Return probabilities (n, classes) for the features X (n, views, ...), averaged over the views.

    Args:
        predict_proba: Function of a head from features (rows, ...) to probabilities (rows, classes).
        X: Features in all views.
        average: What is averaged. `probabilities`: as in papers with ten-crop (Krizhevsky et al. 2012). `logits`: log
            probabilities, normalised again. That is the softmax of the mean logits, since log probabilities and logits
            differ by a constant per view. `features`: the head sees the mean of the features.
    """
    import numpy as np

    n, views = X.shape[:2]
    if views == 1:
        return predict_proba(X[:, 0])
    if average == "features":
        return predict_proba(X.mean(axis=1))
    each = predict_proba(X.reshape(n * views, *X.shape[2:])).reshape(n, views, -1)
    if average == "probabilities":
        return np.asarray(each.mean(axis=1))
    logits = np.log(np.clip(each, np.finfo(np.float64).tiny, None)).mean(axis=1)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
