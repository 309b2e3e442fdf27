"""Results as HTML for notebooks. All colours are those of the text around, so light and dark themes are alike.

Styles are attributes and pictures are PNG: notebooks remove style sheets, scripts and SVG from what another person has
computed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from featstore.system.direction import set_apart

_TABLE = "border-collapse:collapse;margin:0.5em 0;font-variant-numeric:tabular-nums"
_CAPTION = "caption-side:top;text-align:left;color:inherit;padding:0 0 0.3em"
_CELL = "padding:0.25em 1.2em 0.25em 0;vertical-align:top"
_BLANK = "height:0.7em"
_CODE = "margin:0.3em 0;white-space:pre-wrap;font-family:monospace"
_MOST_ROWS = 100  # of a table: a notebook keeps them all, and its reader scrolls past them
_PICTURE = "max-width:100%;height:auto;background:#fff;margin:0.5em 0.5em 0 0"


class Cells(NamedTuple):
    """A table: its header, its rows, and which columns hold numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    are_numbers: Sequence[bool]


class Picture(NamedTuple):
    """A PNG, the words that stand for it where it cannot be seen, and its width on the screen in CSS pixels."""

    png: bytes
    words: str
    width: int


def render(parts: Iterable[str | Cells], pictures: Iterable[Picture] = ()) -> str:
    """Return lines, tables and pictures as HTML. A line right before a table is its caption; indented ones are code."""
    blocks: list[str] = []
    lines: list[str] = []
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
        else:
            caption = lines.pop() if lines else ""
            blocks += [*_blocks(lines), _table(part, caption), *_blocks(_left_out(part))]
            lines = []
    return "".join([*blocks, *_blocks(lines), *map(_picture, pictures)])


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    for is_code, group in groupby(lines, lambda line: line.startswith("  ")):
        if is_code:
            code = "\n".join(_safe(line[2:]) for line in group)
            yield f'<pre style="{_CODE}">{code}</pre>'
        else:
            yield from (f"<div>{_safe(line)}</div>" if line else f'<div style="{_BLANK}"></div>' for line in group)


def _left_out(cells: Cells) -> list[str]:
    rows = len(cells.rows)
    return [f"the first {_MOST_ROWS:,} of {rows:,} rows; print shows all"] if rows > _MOST_ROWS else []


def _table(cells: Cells, caption: str) -> str:
    words = f'<caption style="{_CAPTION}">{_safe(caption)}</caption>' if caption else ""
    head = "".join(map(_column, cells.header, cells.are_numbers))
    body = "".join(f"<tr>{_row(row, cells.are_numbers)}</tr>" for row in cells.rows[:_MOST_ROWS])
    return f'<table style="{_TABLE}">{words}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _column(name: str, is_number: bool) -> str:
    tag = 'th scope="col"' if name else "td"  # a header without a name is none
    style = f"{_style(is_number)};border-bottom:1px solid"
    return f'<{tag} style="{style}">{_safe(name)}</{tag[:2]}>'


def _row(cells: Sequence[str], are_numbers: Sequence[bool]) -> str:
    """Return the cells of a row; the first one is its name."""
    name, *rest = cells
    first = f'<th scope="row" style="{_style(are_numbers[0])};font-weight:normal">{_safe(name)}</th>'
    return first + "".join(
        f'<td style="{_style(is_number)}">{_safe(cell)}</td>'
        for cell, is_number in zip(rest, are_numbers[1:], strict=True)
    )


def _style(is_number: bool) -> str:
    return f"{_CELL};text-align:{'right;white-space:nowrap' if is_number else 'left'}"


def _picture(picture: Picture) -> str:
    source = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    return f'<img src="{source}" alt="{escape(picture.words)}" width="{picture.width}" style="{_PICTURE}">'


def _safe(text: str) -> str:
    return set_apart(escape(text), "<bdi>", "</bdi>")
