"""Cells that are left out: what any head answers if a cell of the map were not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from featstore.explanation.contrast import Contrast
from featstore.explanation.heat import Heat
from featstore.spec import Pool

_FAR = 7  # the part of a side that is left out around a cell: of a map of 7 x 7 the next cells
Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def cells_left_out(predict: Predict, maps: NDArray[np.float32], pool: Pool, contrast: Contrast) -> Heat:
    """Return by how much the log odds of `contrast` fall if each cell of `maps` (n, height, width, channels) is gone.

    With it go its neighbours, up to a seventh of the map away: trees and neighbours answer in steps, and one cell of 49
    moves few of them. Features are then pooled from the other cells, so they stay such as an image has. If the head
    takes whole maps, what is gone becomes the mean of the others. So heat is relative to the rest of the image: where
    all cells speak for a class equally, none has any.

    predict: from features (n, ...) to probabilities.
    """
    n, height, width, channels = maps.shape
    cells = height * width
    flat = maps.reshape(n, cells, channels)
    shape = maps.shape[1:] if pool == "none" else (channels,)
    score = contrast.log_odds(predict(_features(flat, pool).reshape(n, *shape)))
    if cells == 1:  # nothing is left without it
        return Heat(np.zeros((n, 1, 1)), score)
    without = np.stack([_features_without(gone, flat, pool) for gone in _neighbourhoods(height, width)], axis=1)
    fallen = contrast.repeated(cells).log_odds(predict(without.reshape(n * cells, *shape))).reshape(n, height, width)
    return Heat(score[:, None, None] - fallen, score)


def _neighbourhoods(height: int, width: int) -> Iterator[NDArray[np.bool_]]:
    """Yield for each cell, row by row, which cells (height * width,) are near it."""
    y, x = np.mgrid[:height, :width]
    for row, column in np.ndindex(height, width):
        yield ((abs(y - row) <= height // _FAR) & (abs(x - column) <= width // _FAR)).ravel()


def _features(flat: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return the features (n, ...) of maps `flat` (n, cells, channels)."""
    if pool == "none":
        return flat
    return np.asarray(flat.max(axis=1) if pool == "max" else flat.mean(axis=1, dtype=np.float64), np.float32)


def _features_without(gone: NDArray[np.bool_], flat: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return the features (n, ...) of maps `flat` (n, cells, channels) without the cells that are `gone` (cells,)."""
    others = flat[:, ~gone]
    if pool != "none":
        return _features(others, pool)
    return np.where(gone[:, None], _features(others, "avg")[:, None], flat)
