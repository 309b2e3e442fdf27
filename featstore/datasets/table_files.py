"""Tables as people have them, read as text: CSV of any dialect and encoding, lists of lines, Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from featstore.datasets.file_names import has_image_name
from featstore.datasets.pixel_columns import pack_pixels, pixel_columns
from featstore.errors import DataError
from featstore.objects.places import folder_of, read_bytes
from featstore.system.paths import is_url
from featstore.system.text import listed

TABLE_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq")
_DELIMITERS = (",", ";", "\t", "|")
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CELL = 2**24  # characters: an image may be a cell


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of text.

    Attributes:
        source: What it is, for messages.
        folder: The folder that its paths are relative to.
        columns: The names of its columns.
        rows: Its rows, each with a cell for every column. A missing value is empty.
        lines: The line of each row in the file; empty where there is no file.
        notes: What is worth knowing about how it was read.
        pixels: The levels of each row, where columns hold pixels; these are not among `columns` and `rows`.
    """

    source: str
    folder: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: Sequence[int] = ()
    notes: list[str] = field(default_factory=list)
    pixels: list[bytes] = field(default_factory=list)

    def place(self, row: int) -> str:
        """Return where a row is, for messages."""
        return f"{self.source}, line {self.lines[row]}" if self.lines else f"{self.source}, row {row}"

    def cells(self, column: int) -> list[str]:
        """Return the cells of a column."""
        return [row[column] for row in self.rows]


def read_table(path: str) -> TextTable:
    """Return the table in a file; raises DataError if it cannot be read."""
    if os.path.splitext(path)[1].lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    try:
        text = _decode(read_bytes(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a table: {error.strerror}") from error
    numbered = _numbered_rows(path, text)
    header = next(numbered, None)
    if header is None:
        raise DataError(f"{path}: is empty; expected a table with the columns path and label")
    if places := pixel_columns(header[1]):
        return _with_pixels(path, header[1], numbered, places)
    return _with_header(path, [header, *numbered])


def _numbered_rows(path: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with the numbers of their lines."""
    delimiter, text, skipped = _find_delimiter(text, spaces=os.path.splitext(path)[1].lower() == ".txt")
    csv.field_size_limit(_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num + skipped, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + skipped}: cannot be read as a table: {error}") from error


def _with_pixels(
    path: str, header: Sequence[str], numbered: Iterator[tuple[int, list[str]]], places: Sequence[int]
) -> TextTable:
    """Return the table of images in rows, of which the columns `places` are pixels."""
    others = sorted({*range(len(header))} - {*places})
    rows: list[list[str]] = []
    lines: list[int] = []
    pixels: list[bytes] = []
    for line, row in numbered:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise DataError(f"{where}: has {len(row)} values for {len(header)} columns")
        pixels.append(pack_pixels([row[c] for c in places], where))
        rows.append([row[c] for c in others])
        lines.append(line)
    return TextTable(
        source=path,
        folder=folder_of(path),
        columns=tuple(header[c].strip() for c in others),
        rows=rows,
        lines=lines,
        pixels=pixels,
    )


def _decode(raw: bytes) -> str:
    """Return the text of a file in UTF-8 or UTF-16. Bytes that are not UTF-8 are kept as they are: names may have them.

    Excel writes UTF-16 as "Unicode text". Without the mark at its start it has a zero in every other byte.
    """
    for mark, encoding in _BOMS.items():
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
    even, odd = raw[:200:2], raw[1:200:2]
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if odd and not any(zeros) and all(others):
            return raw.decode(encoding, "replace")
    return raw.decode("utf-8", "surrogateescape")


def _find_delimiter(text: str, spaces: bool) -> tuple[str, str, int]:
    """Return the delimiter, the text of the table, and how many lines come before it.

    Excel may say `sep=;` in the first line. Else it is the one that is most often in the header; in a list of lines
    without any it may be a blank.
    """
    if said := re.match(r'"?sep=(.)"?[^\S\r\n]*(\r\n|\r|\n)', text):
        return said[1], text[said.end() :], 1
    header = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    most = max(_DELIMITERS, key=header.count)
    if header.count(most):
        return most, text, 0
    return (" " if spaces and " " in header.strip() else ","), text, 0


def _with_header(path: str, numbered: list[tuple[int, list[str]]]) -> TextTable:
    """Return the table of rows, of which the first is the header unless it names an image."""
    notes: list[str] = []
    columns = [cell.strip() for cell in numbered[0][1]]
    if any(map(has_image_name, columns)):
        columns = ["path", "label"][: len(columns)] + [f"column {n}" for n in range(3, len(columns) + 1)]
        notes.append("the table has no header: its first column is taken for paths, and the second for labels")
    else:
        numbered = numbered[1:]
    lines, rows = [line for line, _ in numbered], [row for _, row in numbered]
    while columns and not columns[-1] and not any(len(r) >= len(columns) and r[len(columns) - 1].strip() for r in rows):
        columns.pop()  # each line ends with a delimiter
    if rows and all(len(row) == len(columns) + 1 and row[0].isdigit() for row in rows):
        columns = ["", *columns]  # R writes the number of a row and no name for it
    for number, row in zip(lines, rows, strict=True):
        while len(row) > len(columns) and not row[-1].strip():
            row.pop()
        if len(row) > len(columns):
            raise DataError(
                f"{path}, line {number}: has {len(row)} values for {len(columns)} columns; put a value with a "
                "delimiter in it into quotes"
            )
        row += [""] * (len(columns) - len(row))
    return TextTable(source=path, folder=folder_of(path), columns=tuple(columns), rows=rows, lines=lines, notes=notes)


def _read_parquet(path: str) -> TextTable:
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError as error:
        raise DataError(
            f"{path}: needs pyarrow to be read: `pip install featstore-keras[parquet]`, or save it as CSV"
        ) from error
    try:
        found = parquet.read_table(io.BytesIO(read_bytes(path)) if is_url(path) else path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    inside = [field.name for field in found.schema if types.is_nested(field.type) or types.is_binary(field.type)]
    if inside:
        raise DataError(
            f"{path}: the column {inside[0]!r} holds {found.schema.field(inside[0]).type}, such as the images "
            "themselves; write them to files, and give a table of their paths"
        )
    table = table_of_columns({name: found[name].to_pylist() for name in found.column_names}, path)
    return replace(table, folder=folder_of(path))


def text_of(value: Any) -> str:
    """Return the value of a cell as text: empty where it is missing, a whole number without `.0`."""
    try:
        is_missing = value is None or bool(value != value)  # what is not a number is not equal to itself
    except (TypeError, ValueError):  # pandas' NA is neither equal nor not
        is_missing = True
    if is_missing:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def table_of_columns(columns: Mapping[str, Sequence[Any]], source: str) -> TextTable:
    """Return the table of columns in memory, whose paths are relative to the working folder."""
    columns = {name: values if hasattr(values, "__len__") else list(values) for name, values in columns.items()}
    names = list(columns)
    hidden = {names[c] for c in pixel_columns(names)}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise DataError(f"{source}: its columns are not equally long: {listed(sorted(map(str, lengths)))}")
    shown = [name for name in names if name not in hidden]
    cells = [[text_of(value) for value in columns[name]] for name in shown]
    levels = zip(*(columns[name] for name in names if name in hidden), strict=True)
    return TextTable(
        source=source,
        folder="",
        columns=tuple(shown),
        rows=[list(row) for row in zip(*cells, strict=True)] or [[] for _ in range(max(lengths, default=0))],
        pixels=[pack_pixels(list(map(text_of, row)), f"{source}, row {number}") for number, row in enumerate(levels)],
    )
