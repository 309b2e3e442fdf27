"""Drawn maps, and linear heads on what is pooled from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.heads.linear import LinearClassifier
from featstore.spec import Pool


def draw_maps(n: int = 4, height: int = 3, width: int = 5, channels: int = 6, seed: int = 0) -> NDArray[np.float32]:
    """Maps as after a ReLU: a third of the numbers are 0."""
    return np.random.default_rng(seed).normal(0.4, 1, (n, height, width, channels)).clip(0).astype(np.float32)


def draw_head(width: int, classes: int, seed: int = 1) -> LinearClassifier:
    rng, outputs = np.random.default_rng(seed), 1 if classes == 2 else classes
    mean, scale, weights = rng.random(width), rng.uniform(0.5, 2, width), rng.normal(size=(outputs, width))
    return LinearClassifier(mean, scale, weights, rng.normal(size=outputs), 1.0, 9)


def pooled(maps: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    if pool == "none":
        return maps.reshape(len(maps), -1)
    return maps.mean(axis=(1, 2)) if pool == "avg" else maps.max(axis=(1, 2))
