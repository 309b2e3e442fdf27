"""The one style of all pictures: sizes, colours and lines, for those drawn with Pillow and with matplotlib."""

from __future__ import annotations

DPI = 120
TITLE, LABEL, TICK = 11.0, 9.0, 8.0  # sizes of text in points

# The colours of Okabe & Ito, safe for colour-blind readers; black is for axes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
HEAD, TUNED = COLOURS[0], COLOURS[1]
INK, GREY, GRID = "#222222", "#555555", "#E4E4E4"

LINE = 1.3  # points
PALE = 0.4  # opacity after the best epoch, whose weights were kept
FEW = 20  # epochs, below which each has a dot: one alone has no line


def pixels(points: float) -> float:
    """Return a length or a size of text in pixels of the picture."""
    return points * DPI / 72
