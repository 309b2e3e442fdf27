"""The columns of the CSV of predictions: all of them, or those that a competition wants: `ImageId=stem,Label=label`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from featstore.cli.console import spreadsheet_text
from featstore.errors import UsageError, param
from featstore.objects.places import normal, places
from featstore.system.member_paths import unpacked_path

if TYPE_CHECKING:
    from featstore.runs.prediction import ImagePrediction

_PROBABILITY = "p:"


Cell = Callable[[int, "ImagePrediction"], str | float]


class Column(NamedTuple):
    """A column: its name, and a function from the number of a row, from 1 on, and its prediction to the cell."""

    name: str
    cell: Cell


_CONTENTS: dict[str, Cell] = {
    "path": lambda number, image: spreadsheet_text(image.path),
    "name": lambda number, image: spreadsheet_text(os.path.basename(unpacked_path(image.path))),
    "stem": lambda number, image: spreadsheet_text(os.path.splitext(os.path.basename(unpacked_path(image.path)))[0]),
    "number": lambda number, image: number,
    "label": lambda number, image: spreadsheet_text(image.label),
    "probability": lambda number, image: image.probability,
    "strength": lambda number, image: image.strength,
    "answers": lambda number, image: spreadsheet_text("|".join(image.answers or ())),
}


def all_columns(classes: Sequence[str], has_answers: bool = False) -> list[Column]:
    """Return path, label, strength, the answers if there are any, and the probability of each class.

    A class may be called `path` or `label`.
    """
    names = ["path", "label", "strength", *(["answers"] if has_answers else [])]
    probabilities = [Column(f"{_PROBABILITY}{name}", _probability(place)) for place, name in enumerate(classes)]
    return [Column(name, _CONTENTS[name]) for name in names] + probabilities


def parse_columns(text: str, classes: Sequence[str], has_answers: bool = False) -> list[Column]:
    """Return the columns of `name=content,...`; a content alone is its name as well. Raises UsageError."""
    columns = []
    known = [name for name in _CONTENTS if has_answers or name != "answers"]
    for item in text.split(","):
        name, _, content = item.rpartition("=")
        if content.startswith(_PROBABILITY) and content[len(_PROBABILITY) :] in classes:
            cell: Cell = _probability(classes.index(content[len(_PROBABILITY) :]))
        elif content in known:
            cell = _CONTENTS[content]
        else:
            raise UsageError(
                f"{param('columns', text)}: {content!r} is not known: use {', '.join(known)} or "
                f"{_PROBABILITY}{classes[0]}, as in ImageId=stem,Label=label"
            )
        columns.append(Column(name or content, cell))
    return columns


def check_numbers(columns: Sequence[Column], named: Sequence[str], images: Sequence[ImagePrediction]) -> None:
    """Raise UsageError for a column `number` where it may count otherwise than the user, who has named these files.

    A file that was skipped shifts all that follow, as does one that a table has twice, and a folder is read in the
    order 1, 10, 2.
    """
    if not any(column.cell is _CONTENTS["number"] for column in columns):
        return
    if [normal(path) for path in places(named, "images")] != [normal(image.path) for image in images]:
        raise UsageError(
            f"{param('columns')}: `number` counts the rows of a table of pixels, or images that are named one by one "
            "and can all be read; here use stem or name"
        )


def _probability(place: int) -> Callable[[int, ImagePrediction], float]:
    return lambda number, image: image.probabilities[place]
