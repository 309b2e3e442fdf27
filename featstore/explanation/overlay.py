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
_TICK, _LEAST_CELL = 5, 12  # px: length of the ticks between cells, and cells that are too small for ticks


def overlay(image: Image.Image, explanation: Explanation, side: int) -> Image.Image:
    """Return `image` in grey within `side` x `side` px, with the heat of `explanation` over it.

    Grey, since orange fur would be read as heat. The colour is as strong as the heat of a cell is, against the largest
    of the image, for or against. It is interpolated between the middles of the cells. White ticks along the edges show
    where cells end: one number for each is all that the map says.

    image: RGB, upright.
    """
    from PIL import Image, ImageOps

    is_tiny = max(image.size) < side // 4  # such as a digit of 8 pixels, which would be a blur
    how = Image.Resampling.NEAREST if is_tiny else Image.Resampling.LANCZOS
    small = ImageOps.contain(image.convert("RGB"), (side, side), how)
    grey = np.asarray(ImageOps.grayscale(small).convert("RGB"), np.float64)
    heat = _over(small.size, explanation)
    strength = _STRONGEST * np.abs(heat)[..., None]
    colour = np.where(heat[..., None] > 0, _rgb(FOR), _rgb(AGAINST))
    mixed = (grey * (1 - strength) + colour * strength).round().astype(np.uint8)
    _draw_ticks(mixed, explanation)
    return Image.fromarray(mixed)


def _draw_ticks(pixels: NDArray[np.uint8], explanation: Explanation) -> None:
    """Draw white ticks at the ends of the cells along the edges of `pixels` (height, width, 3)."""
    left, top, right, bottom = explanation.view
    for across, start, end, cells in (
        (pixels, top, bottom, explanation.heat.shape[0]),
        (pixels.swapaxes(0, 1), left, right, explanation.heat.shape[1]),
    ):
        places = len(across) * (start + (end - start) * np.arange(cells + 1) / cells)
        if len(across) * (end - start) / cells >= _LEAST_CELL:
            inside = places[(places >= 1) & (places < len(across) - 1)].astype(int)
            across[inside, :_TICK] = across[inside, -_TICK:] = 255


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
