"""Neighbours: the images whose features are most alike. They propose pairs; what decides are pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.copies.pairs import Pairs
from featstore.copies.turns import MIRRORED, UPRIGHT

MOST = 10  # of an image: a crop of 80 % is among them in 97 to 100 of 100 photos
_BLOCK = 1000


def nearest_by_features(X: NDArray[np.float32]) -> Pairs:
    """Return each image with its nearest ones, as it is and mirrored. X: features (n, width).

    Nearest is the largest cosine once the mean of all images is taken away, which all have in common.
    """
    centred = X - X.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    most = min(MOST, len(X) - 1)
    if most < 1:
        return Pairs(*np.empty((3, 0), np.intp))
    nearest = np.empty((len(X), most), np.intp)
    for start in range(0, len(X), _BLOCK):
        cosine = centred[start : start + _BLOCK] @ centred.T
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -np.inf
        nearest[start : start + _BLOCK] = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
    first, second = np.repeat(np.arange(len(X)), most), nearest.ravel()
    return Pairs.joined([Pairs(first, second, np.full(len(first), turn)) for turn in (UPRIGHT, MIRRORED)])
