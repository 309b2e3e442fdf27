"""The plots of a run, for a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from featstore.plots.notebook import on_screen
from featstore.system.files import read_regular
from featstore.system.notebook import Picture

RELIABILITY = "Share of answers that are right, by their probability"
_WORDS = {"curve.png": "Loss and accuracy in the course of the training", "reliability.png": RELIABILITY}


def saved_pictures(folder: Path) -> Iterator[Picture]:
    """Yield the plots in the folder of a run; what is missing there or cannot be read is left out."""
    for name, words in _WORDS.items():
        try:
            png, _ = read_regular(folder / name)
            yield on_screen(png, words)
        except (OSError, ValueError):
            continue
