"""Heat over its image: orange cells speak for the class, blue ones against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featstore.plots.style import COLOURS

if TYPE_CHECKING:
    from PIL import Image

    from featstore.explanation.result import Explanation

FOR, AGAINST = COLOURS[1], COLOURS[0]  # vermilion and blue of Okabe and Ito, which no kind of colour blindness confuses
_STRONGEST = 0.75  # opacity of the hottest cell
_FADED = 0.6  # share of grey in the image, whose own colours would be read as heat


def overlay(image: Image.Image, explanation: Explanation, side: int) -> Image.Image:
    """Return `image` in grey within `side` x `side` px, with the heat of `explanation` over it.

    The colour is as strong as the heat of a cell is, against the largest of the image, for or against. Between the
    middles of the cells it is interpolated: the map says no more than one number for each cell.

    image: RGB, upright.
    """
    from PIL import Image, ImageOps

    small = ImageOps.contain(image.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
    faded = Image.blend(small, ImageOps.grayscale(small).convert("RGB"), _FADED)
    heat = _over(small.size, explanation)
    strength = _STRONGEST * np.abs(heat)[..., None]
    colour = np.where(heat[..., None] > 0, _rgb(FOR), _rgb(AGAINST))
    mixed = np.asarray(faded, np.float64) * (1 - strength) + colour * strength
    return Image.fromarray(mixed.round().astype(np.uint8))


def _over(size: tuple[int, int], explanation: Explanation) -> NDArray[np.float64]:
    """Return the heat (height, width) of each pixel from -1 to 1; 0 where the base does not see the image."""
    width, height = size
    left, top, right, bottom = explanation.view
    rows, columns = explanation.heat.shape
    heat = explanation.heat.astype(np.float64)
    heat = heat / (np.abs(heat).max() or 1.0)
    y = ((np.arange(height) + 0.5) / height - top) / (bottom - top)
    x = ((np.arange(width) + 0.5) / width - left) / (right - left)
    seen = ((y >= 0) & (y <= 1))[:, None] & ((x >= 0) & (x <= 1))
    return np.asarray(_between(y, rows) @ heat @ _between(x, columns).T * seen)


def _between(places: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Return weights (n, cells) of the cells at `places` (n,), 0 to 1 along an axis: linear between their middles."""
    at = np.clip(places * cells - 0.5, 0, cells - 1)
    return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(cells)), 0, None))


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], np.float64)
