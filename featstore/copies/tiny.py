"""The comparison of tiny images, such as drawings of 28 px: the whole of one with the whole of the other.

They have no details to search for: half of all written ones would be found in each other. So the correlation of the
plain brightness counts, and it has to be very high. A crop by a pixel more or less is another picture at this size,
so each crop by whole pixels from around the middle is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from featstore.copies.fine import Fits
from featstore.copies.outline import resizing, shrunk
from featstore.copies.pairs import Pairs, by_image
from featstore.copies.sparse import of_brightness
from featstore.copies.turns import TURNS, turned

BELOW = 64  # px of the shorter side
_SIDE, _FROM = 32, 48
_CUT = 0.2  # share of the side that a crop may lack


def best_tiny(greys: NDArray[np.uint8], sizes: Sequence[tuple[int, int]], pairs: Pairs) -> Fits:
    """Return the best fit of each pair, whichever of the two is cropped. sizes: (width, height) of each image."""
    shown = shrunk(greys, _FROM)
    there, back = _fit(shown, sizes, pairs), _fit(shown, sizes, pairs.swapped())
    forward = there.score >= back.score
    correlation = np.maximum(there.score, back.score)
    return Fits(of_brightness(correlation), np.where(forward, 1 / there.scale, back.scale))


def _fit(shown: NDArray[np.float32], sizes: Sequence[tuple[int, int]], pairs: Pairs) -> Fits:
    """Return how well the first image, whole or cropped and then turned, fits the whole of the second; as scale, the
    share of its side that is left."""
    whole = resizing(_FROM, _SIDE)
    targets = _standardized(np.asarray(whole @ shown @ whole.T))
    places = np.arange(_SIDE**2).reshape(1, _SIDE, _SIDE)
    turns = np.stack([turned(places, turn).ravel() for turn in TURNS])  # type: ignore[arg-type]
    score, scale = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.float32)
    for first, which in by_image(pairs.first):
        rows, columns, kept = _crops(*sizes[first])
        crops = _standardized(rows @ shown[first] @ columns.swapaxes(1, 2))
        for turn in np.unique(pairs.turn[which]):
            some = which[pairs.turn[which] == turn]
            correlation = crops[:, turns[turn]] @ targets[pairs.second[some]].T
            best = correlation.argmax(axis=0)
            score[some], scale[some] = correlation.max(axis=0), kept[best]
    return Fits(score, scale)


@lru_cache(maxsize=64)
def _crops(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the matrices (m, 32, 48) that crop and resize rows and columns, and the share (m,) of a side that is left.

    The first crop is the whole image.
    """
    boxes = [
        (columns, rows, 1 - cut / width)
        for cut in range(round(_CUT * width) + 1)
        for columns in _around_the_middle(cut)
        for rows in _around_the_middle(round(cut * height / width))
    ]
    return (
        np.stack([_cropping(height, *rows) for _, rows, _ in boxes]),
        np.stack([_cropping(width, *columns) for columns, _, _ in boxes]),
        np.array([kept for _, _, kept in boxes], np.float32),
    )


def _around_the_middle(cut: int) -> set[tuple[int, int]]:
    """Return how many pixels to take away at the start and at the end, `cut` in all."""
    return {(cut // 2, cut - cut // 2), (cut - cut // 2, cut // 2)}


def _cropping(side: int, start: int, end: int) -> NDArray[np.float32]:
    unit = _FROM / side
    return resizing(_FROM, _SIDE, start * unit, (side - end) * unit)


def _standardized(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `images` (n, side, side) as rows (n, side * side) of mean 0 and length 1; an image of one colour as 0."""
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), rows.shape[1] ** 0.5))
