"""The sheet of answers: images with their predicted labels, the unsure and the wrong ones framed in colour."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from featstore.plots.canvas import Canvas
from featstore.plots.fonts import legible
from featstore.plots.style import COLOURS, GREY, GRID, LABEL, TICK, TITLE

if TYPE_CHECKING:
    from PIL import Image

MOST_IN_PNG = 200
_COLUMNS, _ROWS = 8, 5  # of a page, and at most of columns in a PNG
_SIDE, _GAP, _TEXT, _MARGIN, _TOP = 160, 16, 40, 24, 84  # pixels
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
    """

    path: str
    label: str
    probability: str
    is_unsure: bool
    right: str | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether the right class is known, and is another one."""
        return self.right not in (None, self.label)


def draw_sheet(answers: Sequence[Answer], title: str, kind: str = "png") -> bytes:
    """Return a sheet of the answers in their order.

    A PDF has all of them, in pages. A PNG has the first 200, and a warning says so if there are more.

    Args:
        answers: At least one.
        title: Title of the sheet.
        kind: `png` or `pdf`.
    """
    content = io.BytesIO()
    if kind == "pdf":
        per_page = _COLUMNS * _ROWS
        pages = (
            _draw_page(answers[start : start + per_page], answers, title, _ROWS if len(answers) > per_page else None)
            for start in range(0, len(answers), per_page)
        )
        dateless = {"creationDate": None, "modDate": None}  # the same answers give the same bytes
        next(pages).save(content, "pdf", save_all=True, append_images=pages, resolution=_DPI, **dateless)
        return content.getvalue()
    if len(answers) > MOST_IN_PNG:
        warnings.warn(
            f"the sheet has the first {MOST_IN_PNG} of {len(answers)} images; one with the ending .pdf has all",
            stacklevel=2,
        )
    _draw_page(answers[:MOST_IN_PNG], answers, title).save(content, "png")
    return content.getvalue()


def _draw_page(shown: Sequence[Answer], answers: Sequence[Answer], title: str, rows: int | None = None) -> Image.Image:
    """Return a page with the answers `shown` of all `answers`, with room for that many rows."""
    columns = min(_COLUMNS, max(4, ceil(len(shown) ** 0.5)) if rows is None else _COLUMNS)
    rows = rows or ceil(len(shown) / columns)
    names = [f"{a.label} {a.probability}" for a in shown], [_second_line(a) for a in shown]
    (title, *texts), fonts = legible([title, *names[0], *names[1]])
    width = 2 * _MARGIN + columns * (_SIDE + _GAP) - _GAP
    canvas = Canvas(width, _TOP + rows * (_SIDE + _TEXT + _GAP) + _MARGIN - _GAP, fonts, scale=1)
    canvas.write((width / 2, 26), title, "mm", TITLE, room=width - 2 * _MARGIN)
    canvas.write((width / 2, 54), _summary(answers), "mm", LABEL, GREY, room=width - 2 * _MARGIN)
    for number, answer in enumerate(shown):
        row, column = divmod(number, columns)
        left, top = _MARGIN + column * (_SIDE + _GAP), _TOP + row * (_SIDE + _TEXT + _GAP)
        colour, frame = _WRONG if answer.is_wrong else _UNSURE if answer.is_unsure else ("", 0)
        if colour:
            canvas.box((left - frame, top - frame), (left + _SIDE + frame - 1, top + _SIDE + frame - 1), colour)
        canvas.box((left, top), (left + _SIDE - 1, top + _SIDE - 1), GRID)
        image = _thumbnail(answer.path)
        if image is not None:
            canvas.paste(image, (left + (_SIDE - image.width) // 2, top + (_SIDE - image.height) // 2))
        middle = left + _SIDE / 2
        canvas.write((middle, top + _SIDE + 15), texts[number], "mm", LABEL, room=_SIDE + _GAP - 6)
        below = texts[len(shown) + number]
        ink = colour if answer.is_wrong else GREY
        canvas.write((middle, top + _SIDE + 32), below, "mm", TICK - 1, ink, room=_SIDE + _GAP - 6)
    return canvas.image()


def _second_line(answer: Answer) -> str:
    return f"right: {answer.right}" if answer.is_wrong else answer.path.rpartition("/")[2]


def _summary(answers: Sequence[Answer]) -> str:
    wrong, unsure = sum(a.is_wrong for a in answers), sum(a.is_unsure for a in answers)
    parts = [f"{len(answers)} image{'' if len(answers) == 1 else 's'}"]
    if any(a.right is not None for a in answers):
        parts.append(f"{wrong} wrong (red frame)")
    parts.append(f"{unsure} unsure: less than twice as probable as the next class (orange frame)")
    return ", ".join(parts)


def _thumbnail(path: str) -> Image.Image | None:
    """Return the whole image, upright, as large as fits; None if it can no longer be read."""
    from PIL import Image, ImageOps

    from featstore.errors import UnreadableImage
    from featstore.images.decode import decode_rgb

    try:
        with open(path, "rb") as file:
            image = decode_rgb(file.read())
    except (OSError, UnreadableImage):
        return None
    is_tiny = max(image.size) < _SIDE // 4  # such as a digit of 8 pixels, which would be a blur
    how = Image.Resampling.NEAREST if is_tiny else Image.Resampling.LANCZOS
    return ImageOps.contain(image, (_SIDE, _SIDE), how)
