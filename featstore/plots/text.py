"""Text in plots: what fits, what the font can draw, and the bytes of a figure."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DPI = 120


def render(figure: Any, kind: str = "png") -> bytes:
    """The matplotlib `figure` as a PNG or SVG file without a date, and in SVG with the same ids each time."""
    from matplotlib import rc_context

    image = io.BytesIO()
    with rc_context({"svg.hashsalt": "featstore"}):
        figure.savefig(image, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return image.getvalue()


@contextmanager
def undrawable_ignored() -> Iterator[None]:
    """Without warnings of letters that the font lacks, such as Chinese ones: each is drawn as an empty box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def drawable(text: str) -> str:
    """On one line, with ? for what no font can draw: surrogates of a path's undecodable bytes, control characters."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def fit(text: Any, width: float) -> None:
    """Shorten matplotlib's `text` in the middle until it is at most `width` inches wide."""
    full, room = text.get_text(), width * DPI
    keep = min(len(full), int(72 * width))  # letters: no font here has any that are narrower than a point
    text.set_text(full if keep == len(full) else _shortened(full, keep))
    if (wide := text.get_window_extent().width) > room:
        keep = min(keep, int(1.3 * keep * room / wide) + 2)  # near enough to go on letter by letter
    while keep > 1 and text.get_window_extent().width > room:
        keep -= 1
        text.set_text(_shortened(full, keep))


def _shortened(text: str, keep: int) -> str:
    """`keep` of its letters, with an ellipsis in place of those between."""
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"


# Okabe & Ito's colours, which can be told apart by the colour-blind; black is for axes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
