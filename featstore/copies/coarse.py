"""The coarse comparison: is the middle of one image anywhere in the other? 24 px, five scales, 5 microseconds each.

It only rules out: 97 to 99 of 100 pairs of photos that are not copies end here.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from featstore.copies.outline import FLOOR, details, resizing
from featstore.copies.pairs import Pairs, by_image
from featstore.copies.turns import TURNS, turned
from featstore.system.environment import default_threads

LEAST = 0.65  # below, two images are not the same picture
_SIDE, _WINDOW = 24, 16
_SLOW = 0.06  # share of the side: what changes more slowly is not compared
_SIDES = (19, 22, 24, 27, 30)  # px to which an image is resized, so that windows of one size are parts of five sizes
_MIDDLE = (_SIDE - _WINDOW) // 2


def best_coarse(greys: NDArray[np.uint8], pairs: Pairs) -> NDArray[np.float32]:
    """Return the best correlation (n,) of the middle of one image of each pair with a window of the other."""
    shown = details(greys, _SIDE, _SLOW)
    return np.maximum(_found(shown, pairs), _found(shown, pairs.swapped()))


def _found(shown: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """Return the best correlation (n,) of the middle of the first image with a window of the second."""
    middle = shown[:, _MIDDLE : _MIDDLE + _WINDOW, _MIDDLE : _MIDDLE + _WINDOW]
    templates = _standardized(middle.reshape(len(shown), -1))
    places = np.arange(_WINDOW**2).reshape(1, _WINDOW, _WINDOW)
    turns = np.stack([turned(places, turn).ravel() for turn in TURNS])  # type: ignore[arg-type]
    windows = _Windows()
    best = np.empty(len(pairs), np.float32)

    def compare(group: tuple[int, NDArray[np.intp]]) -> None:
        target, which = group
        sought = templates[pairs.first[which][:, None], turns[pairs.turn[which]]]
        best[which] = (windows.of(shown[target]) @ sought.T).max(axis=0)

    with ThreadPoolExecutor(default_threads()) as pool:
        list(pool.map(compare, by_image(pairs.second)))
    return best


class _Windows:
    """All windows of an image at all scales."""

    def __init__(self) -> None:
        self._resizing = [resizing(_SIDE, side) for side in _SIDES]
        window = np.arange(_WINDOW)
        places, before = [], 0
        for side in _SIDES:
            corner = np.arange(side - _WINDOW + 1)
            rows, columns = (corner[:, None] + window), (corner[:, None] + window)
            places.append((before + rows[:, None, :, None] * side + columns[None, :, None, :]).reshape(-1, _WINDOW**2))
            before += side**2
        self._places = np.concatenate(places)

    def of(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the windows (m, 256) of one image (24, 24), each of mean 0 and length 1."""
        scaled = np.concatenate([(resize @ image @ resize.T).ravel() for resize in self._resizing])
        return _standardized(scaled[self._places])


def _standardized(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `rows` (n, width) of mean 0 and length 1; shorter if they have next to no contrast."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(length, FLOOR * rows.shape[1] ** 0.5)[:, None])
