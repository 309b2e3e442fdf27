"""Text for people: counted nouns, text that is safe to print, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from featstore.system.notebook import Cells, Picture, render

_BRIEF = 200  # letters of a repr
_SIGNED = re.compile(r"[+-][\w .,/-]*")
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # control, format (bidirectional marks among them), surrogates, ...


def count(number: int, what: str) -> str:
    """Return `1 key`, `2 keys`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Return `a, b and 7 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def safe(text: str) -> str:
    """Escape characters of `text` that could control a terminal: file names are untrusted."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata

    return "".join(
        c.encode("unicode_escape", "surrogatepass").decode() if unicodedata.category(c) in _UNSAFE else c for c in text
    )


def spreadsheet_text(text: str) -> str:
    """Return `text` for a cell of a CSV, with a leading quote if a spreadsheet would read a formula (OWASP's list).

    A sign before plain words or a number is not a formula that could do anything: that takes a call or a reference. So
    the class -1 stays -1. Text that begins with a quote gets one more, so different texts stay different.
    """
    is_formula = text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "'")) and not _SIGNED.fullmatch(text)
    return f"'{text}" if is_formula else text


def screen_width() -> int | None:
    """Return the columns of the terminal that is printed to, or $COLUMNS; None where neither is known."""
    import os
    import sys

    if not (os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty()):
        return None
    from shutil import get_terminal_size

    return get_terminal_size().columns


class Table(NamedTuple):
    """Named columns, and rows of as many cells.

    optional: columns to leave out, one after the other, until the table fits the screen.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()

    def __str__(self) -> str:
        """Align the columns; all but the first are right-aligned if they hold numbers."""
        width = screen_width() if self.optional else None
        table, left_out = self, []
        for name in self.optional:
            if width is None or table._width() <= width:
                break
            table, values = table._without(name)
            left_out.append(f"{name} ({values.pop()})" if len(values) == 1 else name)
        lines = table._lines()
        if left_out:
            lines.append(f"left out at {width} columns: {', '.join(left_out)}")
        return "\n".join(lines)

    def _width(self) -> int:
        return max(map(len, self._lines()))

    def _without(self, name: str) -> tuple[Table, set[str]]:
        """Return the table without a column, and the values that the column has."""
        place = list(self.header).index(name)
        header, *rows = ([*row[:place], *row[place + 1 :]] for row in (self.header, *self.rows))
        return Table(header, rows), {safe(row[place]) for row in self.rows}

    def _lines(self) -> list[str]:
        cells = [[safe(cell) for cell in row] for row in (self.header, *self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.header))]
        lines = []
        for row in cells:
            aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, self.are_numbers(), strict=True))
            lines.append("  ".join(aligned).rstrip())
        return lines

    def cells(self) -> Cells:
        """Return the table for a notebook, with all columns."""
        return Cells([*map(safe, self.header)], [[*map(safe, row)] for row in self.rows], self.are_numbers())

    def _repr_html_(self) -> str:
        return render([self.cells()])

    def are_numbers(self) -> list[bool]:
        """Return of each column whether it holds numbers, which are aligned at the right."""
        columns = range(len(self.header))
        return [i > 0 and all(row[i] in ("", "-") or _is_number(row[i]) for row in self.rows) for i in columns]


def brief(record: Any) -> str:
    """Return the repr of a dataclass on one line; long collections are given as their number of items."""
    texts, rest = [], _BRIEF
    for field in fields(record):
        value = getattr(record, field.name)
        is_long = isinstance(value, tuple | list | dict) and len(value) > 4
        texts.append(f"{field.name}={f'<{len(value)} items>' if is_long else repr(value)}")
        rest -= len(texts[-1]) + 2
        if rest < 0:
            texts[-1:] = ["..."] if len(texts) > 1 else texts
            break
    return f"{type(record).__name__}({', '.join(texts)})"


class Shown:
    """A result that prints itself: as on the command line, and with its tables as HTML in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return brief(self)

    def parts(self) -> Iterable[str | Table]:
        """Yield lines of text and tables, in order."""
        raise NotImplementedError

    def plots(self) -> Iterable[Picture]:
        """Yield what a notebook shows below the text; nothing, unless a result has pictures."""
        return ()

    def __str__(self) -> str:
        return "\n".join(str(part) if isinstance(part, Table) else safe(part) for part in self.parts())

    def _repr_html_(self) -> str:
        parts = (part.cells() if isinstance(part, Table) else safe(part) for part in self.parts())
        return render(parts, self.plots())


def _is_number(text: str) -> bool:
    return text.lstrip("<>")[:1].isdigit()  # >0.999999 is one too
