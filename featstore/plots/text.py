"""Text in the plots with matplotlib: their fonts, and names that are shortened to the room they have."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from featstore.plots.style import DPI, INK


@contextmanager
def in_our_style(fonts: Sequence[str] = ()) -> Iterator[None]:
    """Draw with matplotlib's defaults, whatever the user has set, in DejaVu Sans and where it lacks letters in `fonts`.

    A figure has to be made and saved within this.
    """
    from matplotlib.font_manager import FontProperties, fontManager
    from matplotlib.style import context

    known = list(fontManager.ttflist)
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    for font in fonts:
        fontManager.addfont(font)
    families = ["DejaVu Sans", *(FontProperties(fname=font).get_name() for font in fonts)]
    own = {"font.family": families, "text.color": INK, "axes.spines.top": False, "axes.spines.right": False}
    try:
        with context(["default", own]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph ")  # another face of a family may lack some
            log.setLevel(logging.ERROR)  # nor need it have a bold face
            yield
    finally:
        log.setLevel(level)
        fontManager.ttflist[:] = known  # the program's list of fonts stays as it was


def shorten_to(text: Any, width: float) -> None:
    """Shorten matplotlib's `text` in the middle until it is at most `width` inches wide."""
    full, room = text.get_text(), width * DPI
    keep = min(len(full), int(72 * width))  # letters; none of the fonts has a letter narrower than a point
    text.set_text(full if keep == len(full) else shortened(full, keep))
    if (drawn := text.get_window_extent().width) > room:
        # close enough for the loop below, which goes letter by letter
        keep = min(keep, int(1.3 * keep * room / drawn) + 2)
    while keep > 1 and text.get_window_extent().width > room:
        keep -= 1
        text.set_text(shortened(full, keep))


def shortened(text: str, keep: int) -> str:
    """Return `keep` letters from both ends of `text`, with an ellipsis between them."""
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
