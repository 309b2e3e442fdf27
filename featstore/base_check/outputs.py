"""The output of a classifier as probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 5e-3  # of the sum of 1,000 float16 numbers


def are_probabilities(rows: NDArray[np.float64]) -> bool:
    """Return whether `rows` (..., classes) are probabilities: not negative, with a sum of 1."""
    return bool(rows.shape[-1] > 1 and (rows >= 0).all() and np.allclose(rows.sum(axis=-1), 1, atol=_TOLERANCE))


def to_probabilities(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], str | None]:
    """Return the outputs `rows` (..., units) as probabilities (..., classes), and what was done to them, in words.

    A single unit between 0 and 1 is a sigmoid: the probability of the second of two classes. Anything else that is not
    a probability counts as a logit.
    """
    if are_probabilities(rows):
        return rows, None
    if rows.shape[-1] == 1 and ((rows >= 0) & (rows <= 1)).all():
        return np.concatenate([1 - rows, rows], axis=-1), "its one output was read as the probability of class 1"
    if rows.shape[-1] == 1:
        rows = np.concatenate([np.zeros_like(rows), rows], axis=-1)
    shifted = np.exp(rows - rows.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True), "its outputs are not probabilities: their softmax was used"
