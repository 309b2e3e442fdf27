"""Confident learning: which labels are contradicted by the probabilities of a head that did not see them.

Northcutt, Jiang & Chuang 2021, Journal of Artificial Intelligence Research 70:1373.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def confident_joint(probabilities: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the counts (classes, classes) of images by their label, in rows, and the class they confidently are.

    An image is confidently of a class if the probability of the class is at least its threshold: the mean that images
    labelled so have. Of several such classes it is the most probable one; images without any are not counted.
    """
    counts = np.zeros((probabilities.shape[1],) * 2, np.intp)
    confident = confident_classes(probabilities, y)
    np.add.at(counts, (y[confident >= 0], confident[confident >= 0]), 1)
    return counts


def confident_classes(probabilities: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the class (n,) that each image confidently is; -1 if it is of none."""
    classes = range(probabilities.shape[1])
    thresholds = np.array([probabilities[y == k, k].mean() if (y == k).any() else np.inf for k in classes])
    above = probabilities >= thresholds - 1e-12  # a mean of equal numbers may be larger than each by its last bit
    return np.where(above.any(axis=1), np.where(above, probabilities, -1).argmax(axis=1), -1)


def pruned(probabilities: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return the images (n,) that pruning by noise rate would take away.

    The rows of the confident joint are scaled to the images of their label. Of each label i and other class j it takes
    as many images as the joint then has there: those labelled i with the largest difference of the probabilities of j
    and i.
    """
    joint = confident_joint(probabilities, y).astype(float)
    counted = joint.sum(axis=1, keepdims=True)
    labelled = np.bincount(y, minlength=len(joint))[:, None]
    expected = np.rint(joint / np.where(counted > 0, counted, 1) * labelled).astype(int)
    taken = np.zeros(len(y), bool)
    for i, j in np.argwhere(expected):
        if i != j:
            rows = np.flatnonzero(y == i)
            margins = probabilities[rows, i] - probabilities[rows, j]
            taken[rows[np.argsort(margins, kind="stable")[: expected[i, j]]]] = True
    return taken


def doubts(probabilities: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log odds (n,) of the most probable other class against the label: above 0, the head disagrees."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    rows = np.arange(len(y))
    of_label = logs[rows, y]
    logs[rows, y] = -np.inf
    return np.asarray(logs.max(axis=1) - of_label)


def other_classes(probabilities: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the most probable class (n,) of each image that is not its label."""
    others = probabilities.copy()
    others[np.arange(len(y)), y] = -1
    return np.asarray(others.argmax(axis=1))
