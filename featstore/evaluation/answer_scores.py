"""Scores of answers: macro F1 and the correlation of Matthews. Probabilities play no part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.estimate import Estimate, Mean


def macro_f1(answers: NDArray[np.intp], truth: NDArray[np.intp]) -> Estimate:
    """Return the mean over the classes of F1, the harmonic mean of precision and recall.

    Classes that no image has and that are never answered have none. One that is answered, but that no image has, has 0.

    Args:
        answers: (n,) position of the class that was answered for each image.
        truth: (n,) position of the class of each image.
    """
    mean = Mean()
    for name in np.union1d(answers, truth):
        mean.add(_f1(answers == name, truth == name))
    found = mean.estimate()
    assert found is not None  # there is an image, and so a class
    return found


def _f1(answered: NDArray[np.bool_], is_one: NDArray[np.bool_]) -> Estimate:
    """Return F1 of one class: twice the hits over all that is answered or there."""
    counted = answered.astype(float) + is_one
    hits = 2.0 * (answered & is_one)
    value = float(hits.sum() / counted.sum())
    return Estimate(value, (hits - value * counted) / counted.mean(), float(counted.sum() / 2))


def matthews(answers: NDArray[np.intp], truth: NDArray[np.intp]) -> Estimate | None:
    """Return the correlation of answers and classes (Matthews 1975; Gorodkin 2004 for more than two classes).

    It is 1 if all are right, and 0 for answers that do not depend on the image. None if there is one class, or one
    answer: nothing can correlate with it.
    """
    n, width = len(truth), int(max(answers.max(), truth.max())) + 1
    p, t = (np.bincount(places, minlength=width) / n for places in (answers, truth))
    right = answers == truth
    spread_p, spread_t = 1 - float(p @ p), 1 - float(t @ t)
    if np.count_nonzero(p) < 2 or np.count_nonzero(t) < 2:
        return None
    scale = np.sqrt(spread_p * spread_t)
    value = float((right.mean() - p @ t) / scale)
    change = (right - right.mean()) - (p[truth] + t[answers] - 2 * p @ t)
    spreading = (p[answers] - p @ p) / spread_p + (t[truth] - t @ t) / spread_t
    size = n * min(1.0, len(t[t > 0]) ** 2 / float((1 / t[t > 0]).sum()))
    return Estimate(value, change / scale + value * spreading, size)
