"""A sketch: a row of any length in at most 256 numbers that preserve the distance to other rows.

A CountSketch (Charikar, Chen & Farach-Colton 2002): each number is added, under a random sign, to a random one of 256
sums. Distances are preserved to about ten percent, so maps of 100,000 numbers can be compared without storing them.
"""

from __future__ import annotations

import base64
import hashlib

import numpy as np
from numpy.typing import NDArray

WIDTH = 256
_STEP = 1e-3  # relative to the length of a sketch: fingerprints show differences of 1e-3, and none of 1e-6


def make_sketch(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sketch (at most 256,) of a finite row of any shape; up to 256 numbers stay as they are."""
    flat = row.ravel()
    if len(flat) <= WIDTH:
        return flat.astype(np.float32)
    # RandomState, because its stream is frozen; that of a Generator may change with a version of numpy.
    drawn = np.random.RandomState(0).randint(2 * WIDTH, size=len(flat), dtype=np.int64)
    signed = np.where(drawn < WIDTH, flat, -flat)
    return np.bincount(drawn % WIDTH, weights=signed, minlength=WIDTH).astype(np.float32)


def relative_difference(kept: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the L2 norm of the difference over that of `kept`, both (n,); infinity if the shapes differ."""
    if kept.shape != found.shape:
        return float("inf")
    length, distance = (float(np.linalg.norm(x.astype(np.float64))) for x in (kept, found.astype(np.float64) - kept))
    if distance == 0:
        return 0.0
    return distance / length if length else float("inf")


def fingerprint(sketches: list[NDArray[np.float32] | None]) -> str:
    """Return 8 hex digits for people to compare: almost surely equal if the sketches are equal up to rounding."""
    digest = hashlib.sha256()
    for numbers in sketches:
        if numbers is None:
            digest.update(b"none;")
            continue
        length = float(np.linalg.norm(numbers.astype(np.float64)))
        digest.update(f"{length:.3e}:".encode())
        digest.update(np.rint(numbers / (length or 1.0) / _STEP).astype("<i2").tobytes())
    return digest.hexdigest()[:8]


def to_text(numbers: NDArray[np.float32]) -> str:
    """Return the numbers as Base64 of little-endian float32: 1.4 kB for 256, on one line of a JSON file."""
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode()


def from_text(text: str) -> NDArray[np.float32]:
    """Return the numbers that `to_text` wrote; raises ValueError for any other text."""
    numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("numbers that are not finite")
    return numbers
