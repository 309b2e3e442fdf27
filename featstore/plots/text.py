"""Shared by the plots with matplotlib: drawable and shortened text, the bytes of a figure, and the colours."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DPI = 120


def render(figure: Any, kind: str = "png") -> bytes:
    """Return the matplotlib `figure` as a PNG or SVG file. The same figure gives the same bytes: no date, fixed ids."""
    from matplotlib import rc_context

    image = io.BytesIO()
    with rc_context({"svg.hashsalt": "featstore"}):
        figure.savefig(image, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return image.getvalue()


@contextmanager
def ignore_missing_glyphs() -> Iterator[None]:
    """Suppress warnings about letters that the font lacks, such as Chinese ones. Each is drawn as an empty box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def drawable(text: str) -> str:
    """Return `text` on one line, with ? for control characters and for surrogates of undecodable bytes in a path."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def shorten_to(text: Any, width: float) -> None:
    """Shorten matplotlib's `text` in the middle until it is at most `width` inches wide."""
    full, room = text.get_text(), width * DPI
    keep = min(len(full), int(72 * width))  # letters; none of the fonts has a letter narrower than a point
    text.set_text(full if keep == len(full) else _shortened(full, keep))
    if (drawn := text.get_window_extent().width) > room:
        keep = min(
            keep, int(1.3 * keep * room / drawn) + 2
        )  # close enough for the loop below, which goes letter by letter
    while keep > 1 and text.get_window_extent().width > room:
        keep -= 1
        text.set_text(_shortened(full, keep))


def _shortened(text: str, keep: int) -> str:
    """Return `keep` letters from both ends of `text`, with an ellipsis between them."""
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"


# The colours of Okabe & Ito, safe for colour-blind readers; black is for axes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
