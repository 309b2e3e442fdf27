"""Columns of pixels in a table, as Kaggle's digits have them: found by their names, and packed row by row.

A table of 42,000 digits has 33 million cells. As bytes they take 33 MB, as text two thousand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from featstore.errors import DataError

_PIXEL = re.compile(r"(pixel|px|p)[ _]?\d+|\d+x\d+", re.IGNORECASE)
_BESIDE_NUMBERS = {"label", "labels", "class", "target", "y", "index", ""}  # else they may be classes
_ALL_IN_ONE = "pixels"  # a column with all of them, with blanks between, as the faces of FER2013
_LEAST = 16


def pixel_columns(names: Sequence[str]) -> list[int]:
    """Return the numbers of the columns that hold pixels; none if these are not an image."""
    places = [c for c, name in enumerate(names) if _PIXEL.fullmatch(name.strip())]
    numbers = [c for c, name in enumerate(names) if name.strip().isdigit()]
    if {name.strip().lower() for c, name in enumerate(names) if c not in {*numbers}} <= _BESIDE_NUMBERS:
        places = places or numbers
    if len(places) >= _LEAST:
        return places
    return [c for c, name in enumerate(names) if name.strip().lower() == _ALL_IN_ONE]


def pack_pixels(cells: Sequence[str], where: str) -> bytes:
    """Return the levels in some cells; raises DataError for anything but whole numbers from 0 to 255."""
    try:
        return bytes(map(int, cells[0].split() if len(cells) == 1 else cells))
    except ValueError as error:
        raise DataError(f"{where}: expected pixels that are whole numbers from 0 to 255: {error}") from error
