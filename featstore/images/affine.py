"""Affine maps of images about their centre, such as rotations."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Outside = Literal["edge", "symmetric"]


def transform(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], outside: Outside = "edge") -> NDArray[np.uint8]:
    """Return `pixels` (height, width, 3) mapped by `matrix`, bilinear.

    The result is rounded, so that it keeps the mean level of its image. Pillow cuts the decimals of bytes off, which
    makes them darker by half a level. So its map is of floats, a channel at a time.

    Args:
        pixels: The image.
        matrix: (2, 2) from a point of the new image to its source, both (x, y) relative to the centre.
        outside: What is around the image: its edge pixels repeated outwards, as with fill_mode="nearest", or its
            mirror image.
    """
    height, width = pixels.shape[:2]
    reach = np.abs(matrix) @ (width / 2, height / 2) - (width / 2, height / 2)
    margin = max(0, math.ceil(reach.max())) + 2  # bilinear reads one pixel further
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode=outside)
    centre = np.array([width / 2, height / 2])
    (a, b), (d, e) = matrix
    c, f = centre + margin - matrix @ centre
    mapped = np.empty_like(pixels)
    for channel in range(3):
        image = Image.fromarray(padded[..., channel].astype(np.float32))
        levels = image.transform((width, height), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
        mapped[..., channel] = np.rint(np.asarray(levels))
    return mapped
