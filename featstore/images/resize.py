"""Resizing to the input size by squash, crop or pad with Pillow's antialiasing filters, and the crops of a canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.reading import Reading
from featstore.images.views import CENTRE
from featstore.system.limits import max_pixels


def fit_image(image: Image.Image, reading: Reading) -> NDArray[np.uint8]:
    """Return RGB `image` as (height, width, 3) uint8: the centre of its canvas."""
    return np.asarray(_crop(_canvas(image, reading), CENTRE, reading))


def fit_views(image: Image.Image, reading: Reading, views: Sequence[int]) -> NDArray[np.uint8]:
    """Return the crops `views` of the canvas of RGB `image` as (views, height, width, 3) uint8.

    Views 5..9 are crops of the mirror image. With an odd margin, its centre crop is not the mirrored centre crop.
    """
    canvas = _canvas(image, reading)
    mirror = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.stack([np.asarray(_crop(mirror if view > CENTRE else canvas, view % 5, reading)) for view in views])


def seen_part(size: tuple[int, int], reading: Reading) -> tuple[float, float, float, float]:
    """Return the part of an image of `size` (width, height) that its plain view shows, as shares of width and height.

    It is (left, top, right, bottom). What is padded lies outside of the image, so shares may be below 0 and above 1.
    """
    height, width = reading.resize or (reading.height, reading.width)
    canvas = scaled = width, height
    origin = 0, 0
    if reading.fit == "crop":
        canvas = scaled = _covering_size(size, canvas)
    elif reading.fit == "pad":
        scaled = _fitting_size(size, canvas)
        origin = (width - scaled[0]) // 2, (height - scaled[1]) // 2
    left, top = round((canvas[0] - reading.width) / 2), round((canvas[1] - reading.height) / 2)
    return (
        (left - origin[0]) / scaled[0],
        (top - origin[1]) / scaled[1],
        (left + reading.width - origin[0]) / scaled[0],
        (top + reading.height - origin[1]) / scaled[1],
    )


def _canvas(image: Image.Image, reading: Reading) -> Image.Image:
    """Return `image` scaled to the canvas from which crops are taken; without crops, that is the input size.

    squash: scale both sides to that size, the Keras default. crop: scale until it covers that size, keep what lies
    outside, and round as torchvision's `Resize`. pad: scale until it fits into that size, centred on black.
    """
    filter_ = Image.Resampling[reading.interpolation.upper()]
    scaled = _resize(image, scaled_size(image.size, reading), filter_)
    if reading.fit != "pad":
        return scaled
    height, width = reading.resize or (reading.height, reading.width)
    canvas = Image.new("RGB", (width, height))
    canvas.paste(scaled, ((width - scaled.width) // 2, (height - scaled.height) // 2))
    return canvas


def scaled_size(size: tuple[int, int], reading: Reading) -> tuple[int, int]:
    """Return the (width, height) that an image of `size` (width, height) is scaled to; raises UnreadableImage."""
    height, width = reading.resize or (reading.height, reading.width)
    if reading.fit == "crop":
        return _covering_size(size, (width, height))
    return _fitting_size(size, (width, height)) if reading.fit == "pad" else (width, height)


def _crop(canvas: Image.Image, place: int, reading: Reading) -> Image.Image:
    """Crop the input size at corner 0..3 or the centre (4) of `canvas`, rounded as torchvision's `CenterCrop`."""
    right, bottom = canvas.width - reading.width, canvas.height - reading.height
    lefts = (0, right, 0, right, round(right / 2))
    tops = (0, 0, bottom, bottom, round(bottom / 2))
    return canvas.crop((lefts[place], tops[place], lefts[place] + reading.width, tops[place] + reading.height))


def _resize(image: Image.Image, size: tuple[int, int], filter_: Image.Resampling) -> Image.Image:
    """Resize in two passes, in the order of Pillow 13, so that older releases give the same pixels.

    Pixels are rounded between the passes, so the order matters. Older releases always begin with the width, which also
    takes gigabytes for a tall strip.
    """
    width_lost, height_lost = (old - new for old, new in zip(image.size, size, strict=True))
    vertical_first = height_lost > max(0, 2 * width_lost)
    between = (image.width, size[1]) if vertical_first else (size[0], image.height)
    return image.resize(between, filter_).resize(size, filter_)


def _covering_size(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if target[0] * height >= target[1] * width:  # the width decides
        scaled = target[0], max(target[1], target[0] * height // width)
    else:
        scaled = max(target[0], target[1] * width // height), target[1]
    if scaled[0] * scaled[1] > max_pixels():  # a strip of 1 x 1,000,000 px would grow without bound
        raise UnreadableImage(f"is {width}x{height} pixels, too long and thin to be cropped: use another fit")
    return scaled


def _fitting_size(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(target[0] / width, target[1] / height)
    return min(target[0], max(1, round(width * scale))), min(target[1], max(1, round(height * scale)))
