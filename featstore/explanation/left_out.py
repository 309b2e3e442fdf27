"""Cells that are left out: what any head answers if a cell of the map were not there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featstore.explanation.contrast import Contrast
from featstore.explanation.heat import Heat
from featstore.spec import Pool

Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def cells_left_out(predict: Predict, maps: NDArray[np.float32], pool: Pool, contrast: Contrast) -> Heat:
    """Return by how much the log odds of `contrast` fall if each cell of `maps` (n, height, width, channels) is gone.

    Features are then pooled from the other cells, so they stay such as an image has. If the head takes whole maps, the
    cell becomes the mean of the others. So heat is relative to the rest of the image: where all cells speak for a class
    equally, none has any.

    predict: from features (n, ...) to probabilities.
    """
    n, height, width, channels = maps.shape
    cells = height * width
    flat = maps.reshape(n, cells, channels)
    shape = maps.shape[1:] if pool == "none" else (channels,)
    score = contrast.log_odds(predict(_features(flat, pool).reshape(n, *shape)))
    without = np.stack([_features_without(cell, flat, pool) for cell in range(cells)], axis=1)
    fallen = contrast.repeated(cells).log_odds(predict(without.reshape(n * cells, *shape))).reshape(n, height, width)
    return Heat(score[:, None, None] - fallen, score)


def _features(flat: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return the features (n, ...) of maps `flat` (n, cells, channels)."""
    if pool == "none":
        return flat
    return np.asarray(flat.max(axis=1) if pool == "max" else flat.mean(axis=1, dtype=np.float64), np.float32)


def _features_without(cell: int, flat: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return the features (n, ...) of maps `flat` (n, cells, channels) without one of the cells."""
    others = np.delete(flat, cell, axis=1)
    if pool == "none":
        return np.asarray(np.insert(others, cell, _features(others, "avg"), axis=1))
    return _features(others, pool)
