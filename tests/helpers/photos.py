"""Drawn pictures, and folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw(kind: str, number: int, size: tuple[int, int] = (40, 48)) -> Image.Image:
    """A picture of `kind` "stripes" or "discs" on noise, (height, width) px; the number varies all that may vary."""
    rng = np.random.default_rng(number + (1000 if kind == "discs" else 0))
    y, x = np.mgrid[: size[0], : size[1]]
    if kind == "stripes":
        mask = np.sin((x + y * rng.uniform(-1, 1)) * rng.uniform(0.6, 1.2)) > 0
    else:
        centre, radius = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.15, 0.3) * min(size)
        mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    colours = rng.integers(0, 256, (2, 3))
    pixels = np.where(mask[..., None], colours[0], colours[1]) + rng.normal(0, 12, (*size, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_photos(folder: Path, each: int, first: int = 0) -> Path:
    for kind in ("discs", "stripes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            draw(kind, number).save(folder / kind / f"{number:03d}.png")
    return folder
