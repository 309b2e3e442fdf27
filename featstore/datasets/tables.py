"""Data sets that are tables: a row for each image, with its path and, if known, its label, split and group."""

from __future__ import annotations

from collections.abc import Sequence

from featstore.datasets.columns import Columns, understand_columns
from featstore.datasets.labels import MISSING, clean_label
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.name_labels import NamePattern
from featstore.datasets.options import DataOptions
from featstore.datasets.split_names import split_named
from featstore.datasets.states import States
from featstore.datasets.table_files import TextTable
from featstore.datasets.table_paths import locate
from featstore.errors import DataError, UsageError, param
from featstore.objects.places import absolute, normal, settle_place
from featstore.system.text import count, listed


def scan_table(table: TextTable, options: DataOptions) -> Manifest:
    """Return the manifest of a table. Its paths may lead anywhere: the user wrote them."""
    if options.label_from is not None and options.label_column is not None:
        raise UsageError(
            f"{param('label_from', options.label_from)}: has no effect with {param('label_column')}; give one of them"
        )
    columns = understand_columns(table, options)
    names = _names(table, columns.path)
    folder = table.folder if options.image_folder is None else settle_place(options.image_folder, "image_folder")
    states = States()
    located = locate(names, folder, table.source, states)
    labels, label_notes = _labels(table, columns, options)
    splits = _splits(table, columns)
    groups = [cell.strip() for cell in table.cells(columns.group)] if columns.group is not None else [""] * len(names)
    pictures: dict[str, Picture] = {}
    again = 0
    for row, path in enumerate(located.paths):
        key = normal(absolute(path))
        if (info := states.of(path)) is None:
            continue
        picture = Picture(path, info, labels[row], splits[row], groups[row] or None)
        first = pictures.setdefault(key, picture)
        if first is not picture:
            again += 1
            _check_same(table, row, first, picture)
    notes = [*table.notes, *columns.notes, *located.notes, *label_notes]
    if again:
        notes.append(f"{count(again, 'row')} of the table {'names' if again == 1 else 'name'} an image once more")
    layout = "table of paths" if all(label is None for label in labels) else "table of paths and labels"
    return Manifest(
        table.source, tuple(pictures.values()), tuple(states.skipped), options, layout, tuple(notes), columns.hint
    )


def _names(table: TextTable, column: int) -> list[str]:
    names = table.cells(column)
    for row, name in enumerate(names):
        if not name.strip() or "\0" in name:
            raise DataError(f"{table.place(row)}: expected the path of an image in {table.columns[column]!r}")
        if ":/" in name:
            names[row] = _url(name.strip(), table.place(row))
    return names


def _url(text: str, where: str) -> str:
    """Return a URL in its one form; raises DataError for one of an unknown scheme."""
    try:
        return settle_place(text, "data")
    except UsageError as error:
        raise DataError(f"{where}: {str(error).partition(': ')[2]}") from error


def _labels(table: TextTable, columns: Columns, options: DataOptions) -> tuple[list[str | None], list[str]]:
    """Return the label of each row, None where it is missing, and a note on those."""
    if options.label_from is not None:
        pattern = NamePattern(options.label_from)
        return [pattern.label(name.strip().replace("\\", "/")) for name in table.cells(columns.path)], []
    if columns.one_hot:
        names = [clean_label(table.columns[column]) for column in columns.one_hot]
        return [names[_place_of_one(row, columns.one_hot)] for row in table.rows], []
    if columns.label is None:
        return [None] * len(table.rows), []
    cells, notes = _as_written(table.cells(columns.label))
    missing = [cell for cell in cells if cell in MISSING]
    if 0 < len(missing) < len(cells):
        written = listed(sorted({repr(cell) if cell else "empty" for cell in missing}))
        notes.append(f"{count(len(missing), 'image')} of the table without a class: the label is {written}")
    return [None if cell in MISSING else cell for cell in cells], notes


def _as_written(cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return clean labels, and a note. What is not UTF-8 is read as Excel for Windows writes it."""
    foreign = {cell for cell in cells if not cell.isascii() and any("\udc80" <= c <= "\udcff" for c in cell)}
    notes = []
    if foreign:
        cells = [c.encode("utf-8", "surrogateescape").decode("cp1252", "replace") if c in foreign else c for c in cells]
        notes.append("the table is not in UTF-8: its labels are read as Windows-1252")
    return [clean_label(cell) for cell in cells], notes


def _place_of_one(row: Sequence[str], columns: Sequence[int]) -> int:
    return next(place for place, column in enumerate(columns) if row[column].strip() in ("1", "1.0", "True"))


def _splits(table: TextTable, columns: Columns) -> list[str | None]:
    if columns.is_valid is not None:
        said = (cell.strip().lower() for cell in table.cells(columns.is_valid))
        return ["val" if cell in ("true", "1", "1.0") else "train" for cell in said]
    if columns.split is None:
        return [None] * len(table.rows)
    splits: list[str | None] = []
    for row, cell in enumerate(table.cells(columns.split)):
        written = "" if cell.strip() in MISSING else cell.strip()
        split = split_named(written) if written else None
        if written and split is None:
            raise DataError(f"{table.place(row)}: split {written!r} is not known: use train, val or test")
        splits.append(split)
    return splits


def _check_same(table: TextTable, row: int, first: Picture, again: Picture) -> None:
    """Raise DataError if a row says something else of an image than an earlier one."""
    for what in ("label", "split", "group"):
        one, other = getattr(first, what), getattr(again, what)
        if one != other:
            raise DataError(
                f"{table.place(row)}: {again.path} is named more than once, with the {what} {one!r} and "
                f"{other!r}; keep one row per image"
            )
