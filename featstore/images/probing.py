"""The pixels of probes. An image is changed as it was decoded, upright and at its own size, before it is resized.

So a probe gives the same features as copies of the images that were changed by hand and saved without loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from featstore.errors import UnreadableImage
from featstore.images.affine import transform
from featstore.images.probe import Probe, ProbeName

_LONGEST_JPEG = 65_500  # px; libjpeg


def change_image(image: Image.Image, probe: Probe) -> Image.Image:
    """Return RGB `image` changed by `probe`, of the same size; raises UnreadableImage."""
    return _CHANGES[probe.name](image, probe.amount or 0.0)


def _greyscale(image: Image.Image, _: float) -> Image.Image:
    """Return the luma of each pixel (ITU-R 601-2) in all three channels."""
    return image.convert("L").convert("RGB")


def _blur(image: Image.Image, percent: float) -> Image.Image:
    """Blur with a Gaussian whose standard deviation is `percent` of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(percent / 100 * min(image.size)))


def _brightness(image: Image.Image, factor: float) -> Image.Image:
    """Multiply each level by `factor`, rounded, at most 255."""
    return image.point([min(255, round(level * factor)) for level in range(256)] * 3)


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    """Rotate about the centre, counter-clockwise. What comes in at the corners is the mirror image of what is there.

    Black corners would be a mark that no photo of the training has.
    """
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return Image.fromarray(transform(np.asarray(image), turn, "symmetric"))


def _jpeg(image: Image.Image, quality: float) -> Image.Image:
    """Save as JPEG of 4:2:0 and read it again."""
    if max(image.size) > _LONGEST_JPEG:
        raise UnreadableImage(f"is {image.width}x{image.height} pixels, and a JPEG has at most {_LONGEST_JPEG} a side")
    file = BytesIO()
    image.save(file, "JPEG", quality=int(quality), subsampling="4:2:0", comment=b"")
    return Image.open(file).convert("RGB")


_CHANGES: dict[ProbeName, Callable[[Image.Image, float], Image.Image]] = {
    "greyscale": _greyscale,
    "blur": _blur,
    "brightness": _brightness,
    "rotate": _rotate,
    "jpeg": _jpeg,
}
