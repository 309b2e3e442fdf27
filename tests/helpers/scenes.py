"""Drawn scenes: pictures with details everywhere, no two of which are alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def scene(number: int, side: int = 128) -> Image.Image:
    """A picture of many blobs at random places, in colours of their own."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side]
    pixels = np.zeros((side, side, 3), np.uint8)
    for _ in range(40):
        centre, radius = rng.uniform(0, side, 2), rng.uniform(0.03, 0.16) * side
        pixels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def write_scenes(folder: Path, numbers: Mapping[str, Iterable[int]]) -> Path:
    """Write scenes as `folder/<label>/<number>.png`."""
    for label, several in numbers.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in several:
            scene(number).save(folder / label / f"{number:03d}.png")
    return folder
