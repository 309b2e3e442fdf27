"""The limits of what an image file may ask for: they keep a hostile file from filling the memory.

A user whose own files are larger raises them with an environment variable. They refuse files and change no pixel, so
they are not in the key.
"""

from __future__ import annotations

import os

from featstore.errors import UsageError

PIXELS_VARIABLE = "FEATSTORE_MAX_PIXELS"
BYTES_VARIABLE = "FEATSTORE_MAX_BYTES"
_MAX_PIXELS = 50_000_000
_MAX_BYTES = 64 * 2**20


def max_pixels() -> int:
    """Return how many pixels an image may have; raises UsageError if the environment variable is not a number."""
    return _from_environment(PIXELS_VARIABLE, _MAX_PIXELS)


def max_bytes() -> int:
    """Return how many bytes an image file may have; raises UsageError like `max_pixels`."""
    return _from_environment(BYTES_VARIABLE, _MAX_BYTES)


def _from_environment(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"{variable}={text}: expected a whole number above 0, as in {variable}={default * 4}")
    return int(text)
