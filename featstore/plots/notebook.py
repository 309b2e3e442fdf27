"""A plot in a notebook."""

from __future__ import annotations

from featstore.plots.style import DPI
from featstore.system.notebook import Picture

_SCREEN_DPI = 96  # of CSS pixels
_START = b"\x89PNG\r\n\x1a\n"


def on_screen(png: bytes, words: str) -> Picture:
    """Return a plot at the width at which its texts have their sizes, and `words` for those who cannot see it.

    Raises ValueError for what is not a PNG.
    """
    if not png.startswith(_START) or png[12:16] != b"IHDR":
        raise ValueError("not a PNG")
    return Picture(png, words, round(int.from_bytes(png[16:20], "big") * _SCREEN_DPI / DPI))
