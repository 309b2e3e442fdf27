"""From an image of any size to the input size: squash, crop or pad, with Pillow's antialiasing filters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.decode import MAX_PIXELS
from featstore.images.reading import Reading


def fit_image(image: Image.Image, reading: Reading) -> NDArray[np.uint8]:
    """RGB `image` as (height, width, 3) uint8.

    squash: both sides to the input size, the Keras default. crop: scaled until it just covers the input, then its
    centre, rounded as in torchvision (`Resize`, `CenterCrop`). pad: scaled until it just fits, centred on black.
    """
    filter_ = Image.Resampling[reading.interpolation.upper()]
    target = (reading.width, reading.height)
    if reading.fit == "squash":
        return np.asarray(_resize(image, target, filter_))
    if reading.fit == "crop":
        covering = _resize(image, _covering_size(image.size, target), filter_)
        left, top = (round((have - want) / 2) for have, want in zip(covering.size, target, strict=True))
        return np.asarray(covering.crop((left, top, left + target[0], top + target[1])))
    fitting = _resize(image, _fitting_size(image.size, target), filter_)
    canvas = Image.new("RGB", target)
    left, top = ((want - have) // 2 for have, want in zip(fitting.size, target, strict=True))
    canvas.paste(fitting, (left, top))
    return np.asarray(canvas)


def _resize(image: Image.Image, size: tuple[int, int], filter_: Image.Resampling) -> Image.Image:
    """What `image.resize` does from Pillow 13 on, in two passes, so that older releases give the same pixels.

    Between the passes pixels are rounded, so their order shows; older ones always began with the width, which besides
    takes gigabytes for a tall strip.
    """
    width_lost, height_lost = (have - want for have, want in zip(image.size, size, strict=True))
    vertical_first = height_lost > max(0, 2 * width_lost)
    between = (image.width, size[1]) if vertical_first else (size[0], image.height)
    return image.resize(between, filter_).resize(size, filter_)


def _covering_size(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if target[0] * height >= target[1] * width:  # the width decides
        scaled = target[0], max(target[1], target[0] * height // width)
    else:
        scaled = max(target[0], target[1] * width // height), target[1]
    if scaled[0] * scaled[1] > MAX_PIXELS:  # a strip of 1 x 1,000,000 px would grow without bound
        raise UnreadableImage(f"is {width}x{height} pixels, too long and thin to be cropped: use another --fit")
    return scaled


def _fitting_size(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(target[0] / width, target[1] / height)
    return min(target[0], max(1, round(width * scale))), min(target[1], max(1, round(height * scale)))
