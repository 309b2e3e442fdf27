"""Images with few details: a sign on a plain ground, a product on white paper, a drawing of few lines.

A ring is found in every image with a ring, wherever it lies. So where details fill only a part of the image, two more
things count: all of the brightness must agree, as for tiny images, and one image must lie wholly in the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.copies.outline import FLOOR
from featstore.copies.sketch import SIDE

# So that a correlation of 0.985 has the score 0.85, which is the threshold. Of the digits of MNIST, 2 pairs of 3,500
# images reach it, and copies of JPEG quality 30 have 0.988.
_STEEPER = 10
_BLOCK = 8  # px, of which the middle of an image has 7 x 7
_FILLED = 0.6  # share of the blocks with details: photos of animals and flowers have more, all but a few
_BEYOND = 5  # px that one frame may reach beyond the other: the scales that are tried are 5 % apart


def of_brightness(correlation: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the score for a correlation of plain brightness, which has to be far higher than one of details."""
    return 1 - _STEEPER * (1 - correlation)


def are_sparse(shown: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of the images of details (n, side, side) have few of them."""
    n, side = len(shown), shown.shape[1] // _BLOCK
    blocks = shown[:, : side * _BLOCK, : side * _BLOCK].reshape(n, side, _BLOCK, side, _BLOCK)
    return np.asarray((blocks.std(axis=(2, 4)) > FLOOR).mean(axis=(1, 2)) < _FILLED)


def one_holds_the_other(start: tuple[float, float], side: float) -> bool:
    """Whether a frame of `side` px that starts at (row, column) lies in the frame of the image, or around it."""
    inside = all(at >= -_BEYOND and at + side <= SIDE + _BEYOND for at in start)
    around = all(at <= _BEYOND and at + side >= SIDE - _BEYOND for at in start)
    return inside or around


def alike_in_brightness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the score of two pictures of the same size, by their brightness."""
    one, other = one - one.mean(), other - other.mean()
    contrast = max(float(np.linalg.norm(one) * np.linalg.norm(other)), FLOOR**2 * one.size)
    return float(of_brightness(np.asarray(np.vdot(one, other) / contrast)))
