"""Random versions of an image, reproducible: drawn from the seed, the content of the image and the version.

The order is that of `ImageDataGenerator`: resize to the input size, one affine map about the centre with the edge
pixels repeated outwards, mirror, brightness. A random resized crop (Szegedy et al. 2015, section 6) comes before them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featstore.images.affine import transform
from featstore.images.reading import Reading
from featstore.images.resize import fit_image
from featstore.images.views import Augmentation

_ASPECTS = math.log(3 / 4), math.log(4 / 3)  # of a random crop, as everywhere since Inception
_TRIES = 10


def augmented_views(
    image: Image.Image, raw: bytes, reading: Reading, augmentation: Augmentation, versions: Sequence[int]
) -> NDArray[np.uint8]:
    """Return the random `versions` of RGB `image` as (versions, height, width, 3) uint8; `raw` are the file's bytes."""
    content = hashlib.sha256(raw).digest()
    plain = replace(reading, augmentation=None)
    return np.stack([_version(image, plain, augmentation, _generator(content, augmentation, v)) for v in versions])


def _generator(content: bytes, augmentation: Augmentation, version: int) -> np.random.Generator:
    """Return the generator of one version. It is PCG64 by name, since numpy may change what `default_rng` uses."""
    seed = hashlib.sha256(f"featstore-augment-1:{augmentation.seed}:{version}:".encode() + content).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))


def _version(
    image: Image.Image, reading: Reading, ranges: Augmentation, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Return one random version (height, width, 3) of `image`.

    Every number is always drawn, so that turning one transformation off does not change the others.
    """
    box = _random_box(image.size, ranges.crop, random)
    rotation, shear = (math.radians(random.uniform(-1, 1) * limit) for limit in (ranges.rotation, ranges.shear))
    zoom_x, zoom_y = (1 + random.uniform(-1, 1) * ranges.zoom for _ in range(2))
    mirrored = random.uniform() < 0.5 and ranges.mirror
    brightness = 1 + random.uniform(-1, 1) * ranges.brightness
    pixels = fit_image(image.crop(box) if ranges.crop < 1 else image, reading)
    if ranges.rotation or ranges.shear or ranges.zoom:
        pixels = transform(pixels, _matrix(rotation, shear, zoom_x, zoom_y))
    if mirrored:
        pixels = pixels[:, ::-1]
    if ranges.brightness:
        pixels = np.clip(np.round(pixels * brightness), 0, 255).astype(np.uint8)
    return pixels


def _random_box(size: tuple[int, int], smallest: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Return a box (left, top, right, bottom) of random area and aspect, as torchvision's RandomResizedCrop does.

    If no try fits into `size` (width, height), it is the whole image.
    """
    width, height = size
    draws = random.uniform(size=(_TRIES, 4))
    for area, aspect, x, y in draws.tolist():
        share = smallest + area * (1 - smallest)
        ratio = math.exp(_ASPECTS[0] + aspect * (_ASPECTS[1] - _ASPECTS[0]))
        w, h = round(math.sqrt(width * height * share * ratio)), round(math.sqrt(width * height * share / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(x * (width - w + 1)), int(y * (height - h + 1))
            return left, top, left + w, top + h
    return 0, 0, width, height


def _matrix(rotation: float, shear: float, zoom_x: float, zoom_y: float) -> NDArray[np.float64]:
    """Return the map (2, 2) from a point of the new image to its source, both (x, y) relative to the centre."""
    turn = np.array([[math.cos(rotation), -math.sin(rotation)], [math.sin(rotation), math.cos(rotation)]])
    slant = np.array([[math.cos(shear), 0.0], [-math.sin(shear), 1.0]])
    return np.asarray(turn @ slant @ np.diag([zoom_x, zoom_y]))
