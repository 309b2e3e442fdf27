"""The sheet of answers: images with their predicted labels, the unsure and the wrong ones framed in colour.

A second picture may stand next to each image, such as one of what its answer rests on.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from featstore.plots.canvas import Canvas
from featstore.plots.fonts import legible
from featstore.plots.style import COLOURS, GREY, GRID, LABEL, TICK, TITLE
from featstore.system.paths import is_url

if TYPE_CHECKING:
    from PIL import Image

MOST_IN_PNG = 200
_AT_ONCE = 8  # images of object storage that are read and decoded: one may take 150 MB
_COLUMNS, _ROWS = 8, 5  # of a page, and at most of columns in a PNG
_PAGE = _COLUMNS * _ROWS
_SIDE, _GAP, _TEXT, _MARGIN, _TOP = 160, 16, 40, 24, 84  # pixels
NEARLY_AS_LIKELY = "less than twice as probable as the next class"  # what unsure means where nothing else is said
_WRONG, _UNSURE = ("#C62828", 5), (COLOURS[4], 3)  # colour and width of the frame
_DPI = 150.0  # a page is as wide as A4 lying on its side is


class Answer(NamedTuple):
    """An image with its prediction.

    Attributes:
        path: Path of the image.
        label: The predicted class.
        probability: Its probability as text.
        is_unsure: Whether another class is nearly as probable.
        right: The right class; None where it is not known.
        beside: Function from the image and the largest side in pixels to the picture next to it; None without one.
        caption: First line below the image. Default: the label and its probability.
    """

    path: str
    label: str
    probability: str
    is_unsure: bool
    right: str | None = None
    beside: Callable[[Image.Image, int], Image.Image] | None = None
    caption: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the right class is known, and is another one."""
        return self.right not in (None, self.label)


def draw_sheet(
    answers: Sequence[Answer], title: str, kind: str = "png", unsure_means: str = NEARLY_AS_LIKELY, legend: str = ""
) -> bytes:
    """Return a sheet of the answers in their order.

    A PDF has all of them, in pages. A PNG has the first 200, and a warning says so if there are more.

    Args:
        answers: At least one.
        title: Title of the sheet.
        kind: `png` or `pdf`.
        unsure_means: What it means that an answer is unsure, as text; empty if it is not told which are.
        legend: What the pictures next to the images show.
    """
    shown = answers if kind == "pdf" else answers[:MOST_IN_PNG]
    if len(shown) < len(answers):
        warnings.warn(
            f"the sheet has the first {len(shown)} of {len(answers)} images; one with the ending .pdf has all",
            stacklevel=2,
        )
    lines = [a.caption or f"{a.label} {a.probability}" for a in shown], [_second_line(a) for a in shown]
    # At once: a number that stands for a word is the same on all pages.
    (title, *texts), fonts = legible([title, *lines[0], *lines[1]], "pillow")
    cells = [_Cell(*parts) for parts in zip(shown, texts[: len(shown)], texts[len(shown) :], strict=True)]
    pictures = 2 if any(a.beside for a in shown) else 1
    head = _Head(title, ", ".join(_summary(answers, unsure_means, legend)), fonts, pictures)
    content = io.BytesIO()
    if kind != "pdf":
        _draw_page(cells, head).save(content, "png")
        return content.getvalue()
    page = _COLUMNS // pictures * _ROWS
    rows = _ROWS if len(cells) > page else None
    pages = (_draw_page(cells[start : start + page], head, rows) for start in range(0, len(cells), page))
    dateless = {"creationDate": None, "modDate": None}  # the same answers give the same bytes
    next(pages).save(content, "pdf", save_all=True, append_images=pages, resolution=_DPI, **dateless)
    return content.getvalue()


class _Cell(NamedTuple):
    """An answer, and the two lines below its image as they can be drawn."""

    answer: Answer
    first: str
    second: str


class _Head(NamedTuple):
    """What stands above the images of each page, the fonts that all texts need, and the pictures of each image."""

    title: str
    summary: str
    fonts: tuple[str, ...]
    pictures: int

    @property
    def cell(self) -> int:
        """Width of the pictures of an image."""
        return self.pictures * _SIDE


def _draw_page(cells: Sequence[_Cell], head: _Head, rows: int | None = None) -> Image.Image:
    """Return a page with the answers in `cells`, with room for that many rows."""
    most, least = _COLUMNS // head.pictures, 4 // head.pictures
    columns = most if rows else min(most, max(least, ceil(len(cells) ** 0.5)))
    rows = rows or ceil(len(cells) / columns)
    width = 2 * _MARGIN + columns * (head.cell + _GAP) - _GAP
    canvas = Canvas(width, _TOP + rows * (_SIDE + _TEXT + _GAP) + _MARGIN - _GAP, head.fonts, scale=1)
    canvas.write((width / 2, 26), head.title, "mm", TITLE, room=width - 2 * _MARGIN)
    canvas.write((width / 2, 54), head.summary, "mm", LABEL, GREY, room=width - 2 * _MARGIN)
    for number, (cell, pictures) in enumerate(zip(cells, _pictures_of(cells), strict=True)):
        row, column = divmod(number, columns)
        place = _MARGIN + column * (head.cell + _GAP), _TOP + row * (_SIDE + _TEXT + _GAP)
        _draw_cell(canvas, cell, pictures, *place, head.cell)
    return canvas.image()


def _pictures_of(cells: Sequence[_Cell]) -> list[list[Image.Image]]:
    """Return the pictures of each answer; those of object storage are waited for side by side."""
    from concurrent.futures import ThreadPoolExecutor

    threads = _AT_ONCE if any(is_url(cell.answer.path) for cell in cells) else 1
    with ThreadPoolExecutor(threads, "featstore-sheet") as pool:
        return list(pool.map(_pictures, [cell.answer for cell in cells]))


def _draw_cell(canvas: Canvas, cell: _Cell, pictures: Sequence[Image.Image], left: int, top: int, width: int) -> None:
    answer = cell.answer
    colour, frame = _WRONG if answer.is_wrong else _UNSURE if answer.is_unsure else ("", 0)
    if colour:
        canvas.box((left - frame, top - frame), (left + width + frame - 1, top + _SIDE + frame - 1), colour)
    canvas.box((left, top), (left + width - 1, top + _SIDE - 1), GRID)
    for place, picture in enumerate(pictures):
        across = left + place * _SIDE + (_SIDE - picture.width) // 2
        canvas.paste(picture, (across, top + (_SIDE - picture.height) // 2))
    middle, room = left + width / 2, width + _GAP - 6
    canvas.write((middle, top + _SIDE + 15), cell.first, "mm", LABEL, room=room)
    ink = colour if answer.is_wrong else GREY
    canvas.write((middle, top + _SIDE + 32), cell.second, "mm", TICK - 1, ink, room=room)


def _second_line(answer: Answer) -> str:
    return f"right: {answer.right}" if answer.is_wrong else answer.path.rpartition("/")[2]


def _summary(answers: Sequence[Answer], unsure_means: str, legend: str) -> list[str]:
    wrong, unsure = sum(a.is_wrong for a in answers), sum(a.is_unsure for a in answers)
    parts = [f"{len(answers)} image{'' if len(answers) == 1 else 's'}"]
    if any(a.right is not None for a in answers):
        parts.append(f"{wrong} wrong (red frame)")
    if unsure_means:
        parts.append(f"{unsure} unsure: {unsure_means} (orange frame)")
    return [*parts, legend] if legend else parts


def _pictures(answer: Answer) -> list[Image.Image]:
    """Return the whole image, upright, as large as fits, and what is next to it; none if it can no longer be read."""
    from PIL import Image, ImageOps

    from featstore.errors import UnreadableImage
    from featstore.images.decode import decode_rgb
    from featstore.images.files import read_file

    try:
        image = decode_rgb(read_file(answer.path).raw)
    except UnreadableImage:
        return []
    is_tiny = max(image.size) < _SIDE // 4  # such as a digit of 8 pixels, which would be a blur
    how = Image.Resampling.NEAREST if is_tiny else Image.Resampling.LANCZOS
    return [ImageOps.contain(image, (_SIDE, _SIDE), how), *([answer.beside(image, _SIDE)] if answer.beside else [])]
