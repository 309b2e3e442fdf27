"""The pictures of explanations: a file for each image, and one sheet of all."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.errors import StoreError, UnreadableImage, param
from featstore.explanation.overlay import overlay
from featstore.explanation.result import Explanation
from featstore.plots.files import Kind
from featstore.plots.sheet import Answer, draw_sheet
from featstore.system.figures import figure
from featstore.system.files import write_whole
from featstore.system.member_paths import unpacked_path

if TYPE_CHECKING:
    from PIL import Image

SIDE = 448  # px of the longer side of a picture: twice what most bases see
_NAME = 80  # letters of the name of the image that the name of its picture has
LEGEND = "orange speaks for, blue against"


def draw_explanations(
    explanations: Sequence[Explanation], right: Sequence[str | None], title: str, kind: Kind = "png"
) -> bytes:
    """Return a sheet: each image, and the same with its heat; wrong answers have a red frame.

    A PDF has all, in pages. A PNG has the first 200, and a warning says so if there are more. right: the right class of
    each image, None where it is not known.
    """
    answers = [
        Answer(one.path, one.answer, "", False, label, beside=partial(_over, explanation=one), caption=_caption(one))
        for one, label in zip(explanations, right, strict=True)
    ]
    rows, columns = explanations[0].heat.shape
    return draw_sheet(answers, title, kind, "", f"{rows} x {columns} cells: {LEGEND}")


def write_overlays(explanations: Sequence[Explanation], folder: Path) -> list[Path]:
    """Write a PNG for each image that can still be read into `folder`, which is made; return their paths.

    Names begin with the number of the image, as images of several folders may have one name. Raises StoreError.
    """
    make_folder(folder)
    digits, written = len(str(len(explanations))), []
    for number, one in enumerate(explanations, 1):
        image = _decoded(one.path)
        if image is not None:
            content = io.BytesIO()
            overlay(image, one, SIDE).save(content, "png")
            stem = os.path.splitext(os.path.basename(unpacked_path(one.path)))[0][:_NAME]
            written.append(folder / f"{number:0{digits}}-{stem}.png")
            write_whole(written[-1], content.getvalue())
    return written


def make_folder(folder: Path) -> None:
    """Make the folder for pictures, if it is not there; raises StoreError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be made: {error.strerror or error}; choose another folder for {param('out')}"
        ) from error


def _caption(one: Explanation) -> str:
    answer = "" if one.label == one.answer else f" (answer: {one.answer})"
    return f"{one.label} {figure(one.probability)}{answer}"


def _over(image: Image.Image, side: int, explanation: Explanation) -> Image.Image:
    return overlay(image, explanation, side)


def _decoded(path: str) -> Image.Image | None:
    from featstore.images.decode import decode_rgb
    from featstore.images.files import read_file

    try:
        return decode_rgb(read_file(path).raw)
    except UnreadableImage:
        return None
