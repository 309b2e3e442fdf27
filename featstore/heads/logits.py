"""Logits: the numbers before a softmax or sigmoid. Probabilities and losses are computed from them.

A sure network rounds a probability of 1 - 1e-9 to 1 in float32. The loss of a sure mistake would then be cut off, and
its gradient would be 0: training could not mend it, and early stopping would not see it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def probabilities_of(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the softmax (n, classes) of `logits` (n, classes); one column is the logit of the second of two classes.

    It is computed in float64, whose numbers go down to 1e-308. So the probabilities of an image add up to 1, and their
    logarithms are right for all logits up to 700. NaN stays NaN.
    """
    wide = logits.astype(np.float64)
    if wide.shape[1] == 1:
        wide = np.hstack([np.zeros_like(wide), wide])
    with np.errstate(all="ignore"):  # underflow is a probability of 0
        exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def loss_and_accuracy(probabilities: NDArray[np.float64], targets: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return (2,): the mean cross-entropy in nats, and the accuracy. A probability of 0 counts as 708 nats."""
    of_target = probabilities[np.arange(len(targets)), targets]
    losses = -np.log(np.clip(of_target, np.finfo(np.float64).tiny, None))
    return np.array([losses.mean(), (probabilities.argmax(axis=1) == targets).mean()])
