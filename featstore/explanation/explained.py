"""The result of `featstore explain`: the heat maps of a list of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Skipped
from featstore.explanation.result import Explanation, Method
from featstore.plots.files import Kind, kind_of
from featstore.plots.notebook import on_screen
from featstore.system.figures import figure
from featstore.system.files import write_whole
from featstore.system.notebook import Picture
from featstore.system.paths import OnePath, one_path
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.runs.run import Run

_IN_NOTEBOOK = 12  # images that a notebook shows
_HOW: dict[Method, str] = {
    "cam": "class activation maps, exact: the mean of the cells, plus what does not depend on the image, is the score",
    "grad-cam": "Grad-CAM: each channel of the map times its mean gradient",
    "hires-cam": "HiResCAM: each cell of the map times its own gradient",
    "cells": "by leaving out each cell with its neighbours: orange is more for the class than the rest of the image",
    "occlusion": "by blurring one patch of the image at a time, through the whole network",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Explained(Shown):
    """The heat maps of a list of images.

    Attributes:
        run: The run whose answers are explained.
        explanations: One for each image, in the order given.
        method: How the heat was computed.
        right: The right class of each image: its label, or the name of its folder; None where neither is a class.
        skipped: Files that could not be read.
        notes: What is worth knowing about the maps.
    """

    run: Run
    explanations: tuple[Explanation, ...]
    method: Method
    right: tuple[str | None, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def parts(self) -> Iterator[str | Table]:
        """Yield how the maps were made, and a row for each image."""
        rows, columns = self.explanations[0].heat.shape
        yield f"{self.method}: {_HOW[self.method]}; {rows} x {columns} cells; orange speaks for, blue against"
        yield from self.notes
        yield Table(("image", "class", "probability", "against", "log odds", "hottest cell"), list(self._rows()))

    def plots(self) -> Iterator[Picture]:
        """Yield the sheet of the first images, for a notebook."""
        from featstore.explanation.pictures import draw_explanations

        some, right = self.explanations[:_IN_NOTEBOOK], self.right[:_IN_NOTEBOOK]
        words = f"images, each next to the same with its heat: {', '.join(one.label for one in some)}"
        yield on_screen(draw_explanations(some, right, self.method), words)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for one in self.explanations:
            score = "-" if one.score is None else f"{one.score:.2f}"
            yield one.path, one.label, figure(one.probability), one.against or "-", score, _hottest(one)

    def save_sheet(self, path: OnePath) -> None:
        """Save a sheet of all images with their heat next to them; wrong answers have a red frame.

        Args:
            path: File to write. A .pdf has all images, in pages; a .png the first 200.

        Raises:
            UsageError: `path` has another ending.
            StoreError: The file cannot be written.
        """
        kind = kind_of(one_path(path, "path"), "path", ("png", "pdf"))
        write_whole(Path(one_path(path, "path")), self.draw_sheet(kind))

    def save_overlays(self, out: OnePath) -> list[Path]:
        """Save a PNG of each image with its heat over it, and return their paths.

        Args:
            out: Folder to write into, which is made.

        Raises:
            StoreError: The folder or a file cannot be written.
        """
        from featstore.explanation.pictures import write_overlays

        return write_overlays(self.explanations, Path(one_path(out, "out")))

    def draw_sheet(self, kind: Kind = "png") -> bytes:
        """Return the sheet that `save_sheet` saves, as the bytes of a `png` or `pdf`."""
        from featstore.explanation.pictures import draw_explanations
        from featstore.runs.titles import title_of

        return draw_explanations(self.explanations, self.right, f"{title_of(self.run)}: {self.method}", kind)

    def describe(self) -> dict[str, Any]:
        """Return what `featstore explain --json` prints."""
        return {
            "run": str(self.run.folder),
            "method": self.method,
            "explanations": [
                one.describe() | {"right": right} for one, right in zip(self.explanations, self.right, strict=True)
            ],
            "notes": list(self.notes),
            "skipped": [item._asdict() for item in self.skipped],
        }


def _hottest(one: Explanation) -> str:
    """Return the place of the cell that speaks most for the class, counted from 1 at the upper left."""
    row, column = divmod(int(one.heat.argmax()), one.heat.shape[1])
    return f"row {row + 1}, column {column + 1}"
