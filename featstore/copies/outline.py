"""What is compared of an image: its details, without what changes slowly over it, and the image within its margins.

Brightness that changes slowly says "a dark animal on a light ground", which many pictures have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featstore.copies.sketch import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 3.0  # levels: windows of less contrast are paper or sky, and what correlates there is noise
_FLAT = 20  # levels between the darkest and the lightest pixel of a row of a margin: JPEG makes some of white
_WIDEST = SIDE // 4  # px of a margin


def details(greys: NDArray[np.uint8], side: int, slow: float) -> NDArray[np.float32]:
    """Return `greys` (n, 96, 96) as (n, side, side), less what a Gaussian filter of `slow` times the side leaves."""
    small, blur = shrunk(greys, side), _blurring(side, slow * side)
    return np.asarray(small - blur @ small @ blur.T)


def shrunk(greys: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return `greys` (n, 96, 96) as (n, side, side) of the mean levels; `side` is a divisor of 96."""
    blocks = greys.reshape(len(greys), side, SIDE // side, side, SIDE // side)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def _blurring(side: int, deviation: float) -> NDArray[np.float32]:
    """Return the matrix (side, side) that blurs the rows of an image; beyond its edges the outermost pixels go on.

    A filter of SciPy does the same, and takes 0.3 s to import.
    """
    steps = np.arange(-int(4 * deviation), int(4 * deviation) + 1)
    weights = np.exp(-((steps / deviation) ** 2) / 2)
    matrix = np.zeros((side, side))
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        np.add.at(matrix, (np.arange(side), np.clip(np.arange(side) + step, 0, side - 1)), weight)
    return matrix.astype(np.float32)


def within_margins(grey: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return (96, 96) what lies within the flat margins of `grey` (96, 96); None if it has none."""
    from PIL import Image

    top, bottom, left, right = (_margin(rows) for rows in (grey, grey[::-1], grey.T, grey.T[::-1]))
    if max(top, bottom, left, right) < 2:  # px: interpolation makes one of an edge
        return None
    inner = Image.fromarray(np.ascontiguousarray(grey[top : SIDE - bottom, left : SIDE - right]))
    return np.asarray(inner.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _margin(rows: NDArray[np.uint8]) -> int:
    """Return how many of the first rows are flat."""
    flat = np.ptp(rows[:_WIDEST], axis=1) <= _FLAT
    return _WIDEST if flat.all() else int(flat.argmin())


def resizing(old: int, new: int, start: float = 0.0, end: float | None = None) -> NDArray[np.float32]:
    """Return the matrix (new, old) that resizes the part from `start` to `end` of a row of `old` px to `new` px."""
    from PIL import Image

    end = old if end is None else end
    unit = Image.fromarray(np.eye(old, dtype=np.float32))
    return np.asarray(unit.resize((old, new), Image.Resampling.BILINEAR, box=(0, start, old, end)))
