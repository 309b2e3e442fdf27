"""The result of `featstore explain`: the heat maps of a list of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Skipped
from featstore.explanation.result import Explanation, Method
from featstore.system.figures import figure
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.runs.run import Run

_HOW: dict[Method, str] = {
    "cam": "class activation maps, exact: the mean of the cells, plus what does not depend on the image, is the score",
    "grad-cam": "Grad-CAM: each channel of the map times its mean gradient",
    "hires-cam": "HiResCAM: each cell of the map times its own gradient",
    "cells": "by leaving out one cell of the map at a time: red is more for the class than the rest of the image",
    "occlusion": "by blurring one patch of the image at a time, through the whole network",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Explained(Shown):
    """The heat maps of a list of images.

    Attributes:
        run: The run whose answers are explained.
        explanations: One for each image, in the order given.
        method: How the heat was computed.
        skipped: Files that could not be read.
        notes: What is worth knowing about the maps.
    """

    run: Run
    explanations: tuple[Explanation, ...]
    method: Method
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def parts(self) -> Iterator[str | Table]:
        """Yield how the maps were made, and a row for each image."""
        rows, columns = self.explanations[0].heat.shape
        yield f"{self.method}: {_HOW[self.method]}; {rows} x {columns} cells; red speaks for, blue against"
        yield from self.notes
        yield Table(("image", "class", "probability", "against", "log odds", "hottest cell"), list(self._rows()))

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for one in self.explanations:
            score = "-" if one.score is None else f"{one.score:.2f}"
            yield one.path, one.label, figure(one.probability), one.against or "-", score, _hottest(one)

    def describe(self) -> dict[str, Any]:
        """Return what `featstore explain --json` prints."""
        return {
            "run": str(self.run.folder),
            "method": self.method,
            "explanations": [one.describe() for one in self.explanations],
            "notes": list(self.notes),
            "skipped": [item._asdict() for item in self.skipped],
        }


def _hottest(one: Explanation) -> str:
    """Return the place of the cell that speaks most for the class, counted from 1 at the upper left."""
    row, column = divmod(int(one.heat.argmax()), one.heat.shape[1])
    return f"row {row + 1}, column {column + 1}"
