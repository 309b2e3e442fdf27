"""One answer for an image that was seen in several views."""

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
    """Probabilities (n, classes) for X (n, views, ...).

    probabilities: their mean, as papers do it for ten-crop (Krizhevsky et al. 2012). logits: the mean of log
    probabilities, normalised again; that is the softmax of the mean logits, since they differ by a constant per view.
    features: the head sees the mean of the views' features.
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
