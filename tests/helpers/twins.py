"""The same numbers a second time, with Pillow, NumPy, h5py and Keras alone: nothing here is featstore's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from PIL import Image

BILINEAR = Image.Resampling.BILINEAR
VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # RGB float32 in 0..255, which they may change
    "keras": keras.applications.mobilenet.preprocess_input,
    "caffe": keras.applications.vgg16.preprocess_input,
    "torch": keras.applications.densenet.preprocess_input,
    "tf": keras.applications.xception.preprocess_input,
    "rescale": lambda x: x / 255,
    "rgb-mean": lambda x: x - np.array([123.68, 116.779, 103.939], np.float32),
    "raw": lambda x: x,
    "order=bgr,scale=1/51,mean=1:2:3,std=2:1:0.5": lambda x: (x[..., ::-1] / 51 - [1, 2, 3]) / [2, 1, 0.5],
}
VIEWS = {"one": (0,), "flip": (4, 9), "five": (0, 1, 2, 3, 4), "ten": tuple(range(10))}  # the numbers of their rows


def see(path: Path, fit: str, views: str, size: int) -> dict[int, np.ndarray]:
    """Return the views of an image file by their numbers, (size, size, 3) uint8."""
    image = Image.open(path).convert("RGB")
    if views == "one":
        whole = canvas(image, fit, size)
        return {0: crop(whole, round((whole.shape[0] - size) / 2), round((whole.shape[1] - size) / 2), size)}
    found = {}
    whole = canvas(image, fit, round(size / 0.875))
    for first, pixels in ((0, whole), (5, whole[:, ::-1])):
        bottom, right = pixels.shape[0] - size, pixels.shape[1] - size
        places = (0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))
        found |= {first + number: crop(pixels, *place, size) for number, place in enumerate(places)}
    return {number: found[number] for number in VIEWS[views]}


def canvas(image: Image.Image, fit: str, side: int) -> np.ndarray:
    """Return `image` as a square of `side`; with the fit `crop`, what is to be cut off is still there."""
    if fit == "squash":
        return np.asarray(image.resize((side, side), BILINEAR))
    shorter, longer = sorted(image.size)
    if fit == "crop":  # as torchvision's Resize
        other = int(side * longer / shorter)
        return np.asarray(image.resize((side, other) if image.width < image.height else (other, side), BILINEAR))
    scaled = image.resize(tuple(round(side * length / longer) for length in image.size), BILINEAR)
    padded = np.zeros((side, side, 3), np.uint8)
    top, left = (side - scaled.height) // 2, (side - scaled.width) // 2
    padded[top : top + scaled.height, left : left + scaled.width] = scaled
    return padded


def crop(pixels: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return pixels[top : top + size, left : left + size]


def prepared(variant: str, pixels: np.ndarray) -> np.ndarray:
    """Return uint8 `pixels` as the input of a network."""
    return VARIANTS[variant](pixels.astype(np.float32)).astype(np.float32)


def row_of(path: Path, view: int) -> bytes:
    """Return the id of a row in the cache."""
    return hashlib.sha256(path.read_bytes()).digest() + view.to_bytes(2, "big")


def rows_in(folder: Path) -> dict[bytes, np.ndarray]:
    """Return all rows of a key by their ids, in the types that they are stored in."""
    rows = {}
    for shard in sorted(folder.glob("s-*.h5")):
        with h5py.File(shard) as file:
            rows |= dict(zip(map(bytes, file["ids"][:]), file["features"][:], strict=True))
    return rows


def calibrated(model: Any, seed: int = 0) -> Any:
    """Return `model` with the batch statistics of random images; those of random weights would lose the signal."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(np.random.default_rng(seed).uniform(-1, 1, (8, *model.input_shape[1:])).astype(np.float32), training=True)
    for layer in norms:
        layer.momentum = 0.99
    return model


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Return the distance between the weights of two equal networks."""
    return float(np.sqrt(sum(np.square(b - a).sum() for a, b in zip(one, other, strict=True))))
