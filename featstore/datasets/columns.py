"""Which columns of a table hold paths, labels, splits and groups, by the names that people give them.

Names are compared without case, blanks and marks, so `File Name` is `filename`. What no name says, the values may: a
column of names of images, a single column that is left, or columns of 0 and 1 with one 1 in each row. Where that is not
certain either, the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from featstore.datasets.file_names import has_image_name
from featstore.datasets.options import DataOptions
from featstore.datasets.split_names import split_named
from featstore.datasets.table_files import TextTable
from featstore.errors import DataError, UsageError, param, spelled
from featstore.system.text import listed

# In the order in which they are preferred.
# fmt: off
_PATHS = [
    "path", "paths", "filepath", "filepaths", "imagepath", "imgpath", "filename", "filenames", "fname",
    "imagename", "imgname", "imagefile", "imgfile", "file", "files", "image", "images", "img", "photo",
    "picture", "imageid", "imgid", "idcode", "isicid", "id", "ids",
]
_LABELS = [
    "label", "labels", "class", "classes", "classname", "classlabel", "labelname", "category", "categories",
    "target", "breed", "species", "diagnosis", "dx", "emotion", "tag", "y",
]
# fmt: on
_SPLITS = ["split", "subset", "partition", "dataset", "set", "fold"]
_INDEX = {"", "index", "unnamed0", "rowid", "rownames"}
_MAYBE_GROUPS = {"patientid", "patient", "subjectid", "subject", "lesionid", "personid", "participant", "sceneid"}
_ONE_HOT = {"0", "1", "0.0", "1.0", "False", "True"}
_TRUE = {"1", "1.0", "True"}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The numbers of the columns of a table; None for what it does not have.

    Attributes:
        path: Of the paths.
        label: Of the labels.
        split: Of the splits.
        is_valid: Of a column that says `True` for the images of the validation split.
        group: Of the groups.
        one_hot: Of the columns of which one in each row is 1; their names are the labels.
        hint: Where there are no labels: what to do.
        notes: What was decided without being told.
    """

    path: int
    label: int | None = None
    split: int | None = None
    is_valid: int | None = None
    group: int | None = None
    one_hot: tuple[int, ...] = ()
    hint: str = ""
    notes: list[str] = field(default_factory=list)


def understand_columns(table: TextTable, options: DataOptions) -> Columns:
    """Return which columns of `table` hold what; raises DataError where it is not certain which holds paths."""
    keys = [_key(name) for name in table.columns]
    path = _path_column(table, keys, options)
    group = _named(table, keys, ["group"])
    split = next((c for c in map(keys.index, [k for k in _SPLITS if k in keys]) if _holds_splits(table, c)), None)
    is_valid = _named(table, keys, ["isvalid"]) if split is None else None
    used = {path, group, split, is_valid}
    rest = [c for c, key in enumerate(keys) if c not in used and key not in _INDEX]
    label, one_hot, hint = _label_columns(table, keys, rest, options)
    rest = [c for c in rest if c != label and c not in one_hot]
    notes = [*_said(table, path, label, one_hot, options), *_unused(table, keys, rest)]
    return Columns(
        path=path, label=label, split=split, is_valid=is_valid, group=group, one_hot=one_hot, hint=hint, notes=notes
    )


def label_column(table: TextTable, options: DataOptions) -> tuple[int | None, str, list[str]]:
    """Return the column of labels of a table of pixels, or what to do to name it, and a note on the other columns."""
    keys = [_key(name) for name in table.columns]
    rest = [c for c, key in enumerate(keys) if key not in (*_INDEX, "id", "imageid")]
    label, _, hint = _label_columns(table, keys, rest, options)
    return label, hint, _unused(table, keys, [c for c in rest if c != label])


def _path_column(table: TextTable, keys: Sequence[str], options: DataOptions) -> int:
    if options.path_column is not None:
        return _asked_for(table, keys, "path_column", options.path_column)
    found = _named(table, keys, _PATHS)
    if found is None:
        likely = [c for c in range(len(keys)) if _are_images(table.cells(c))]
        found = likely[0] if len(likely) == 1 else None
    if found is None:
        raise DataError(
            f"{table.source}: no column of paths among {listed(table.columns)}; expected the columns path,label"
            f"[,split][,group], or name it with {param('path_column')}"
        )
    return found


def _label_columns(
    table: TextTable, keys: Sequence[str], rest: Sequence[int], options: DataOptions
) -> tuple[int | None, tuple[int, ...], str]:
    """Return the column of labels, or the columns whose names are the labels, or a hint."""
    if options.label_column is not None:
        return _asked_for(table, keys, "label_column", options.label_column), (), ""
    named = [keys.index(key) for key in _LABELS if key in keys and keys.index(key) in rest]
    if named and (len(named) == 1 or keys[named[0]] == "label" or _say_the_same(table, named)):
        return _named(table, keys, [keys[named[0]]]), (), ""
    if not named and len(rest) == 1 and _could_be_labels(table.cells(rest[0])):
        return rest[0], (), ""
    if not named and len(rest) > 1 and _is_one_hot(table, rest):
        return None, tuple(rest), ""
    if not rest:
        return None, (), ""
    names = [table.columns[c] for c in named or rest]
    return None, (), spelled(f"which column holds them, {listed(names)}? name it with {param('label_column')}")


def _asked_for(table: TextTable, keys: Sequence[str], option: str, name: str) -> int:
    """Return the column that the user names, by its exact name if there is one."""
    columns = [column.strip() for column in table.columns]
    if name in columns:
        return columns.index(name)
    if _key(name) not in keys:
        raise UsageError(f"{param(option, name)}: {table.source} has no such column, but {listed(table.columns)}")
    return keys.index(_key(name))


def _named(table: TextTable, keys: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the column with the first of `names` that there is."""
    found = next((name for name in names if name in keys), None)
    if found is None:
        return None
    if keys.count(found) > 1:
        raise DataError(f"{table.source}: has the column {table.columns[keys.index(found)]!r} more than once")
    return keys.index(found)


def _key(name: str) -> str:
    """Return a name without case, blanks and marks. A name in another script is kept."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _are_images(cells: Sequence[str]) -> bool:
    return bool(cells) and sum(has_image_name(cell.strip()) for cell in cells) > 0.9 * len(cells)


def _holds_splits(table: TextTable, column: int) -> bool:
    """Whether all values name splits; a column that is called `split` is one in any case."""
    return _key(table.columns[column]) == "split" or all(
        not cell.strip() or split_named(cell) for cell in set(table.cells(column))
    )


def _could_be_labels(cells: Sequence[str]) -> bool:
    """Whether a column without a telling name holds classes: captions and measurements differ in each row."""
    return len(set(cells)) <= max(2, len(cells) // 2)


def _say_the_same(table: TextTable, columns: Sequence[int]) -> bool:
    """Whether each value of one column goes with one value of the others: numbers and names of the same classes."""
    values = {tuple(row[c] for c in columns) for row in table.rows}
    return all(len({value[i] for value in values}) == len(values) for i in range(len(columns)))


def _is_one_hot(table: TextTable, columns: Sequence[int]) -> bool:
    cells = ([row[c].strip() for c in columns] for row in table.rows)
    return bool(table.rows) and all(set(row) <= _ONE_HOT and sum(cell in _TRUE for cell in row) == 1 for row in cells)


def _said(table: TextTable, path: int, label: int | None, one_hot: Sequence[int], options: DataOptions) -> list[str]:
    """Return a line if columns are taken that are neither called `path` and `label` nor named by the user."""
    found = []
    if options.path_column is None and _key(table.columns[path]) != "path":
        found.append(f"paths from the column {table.columns[path]!r}")
    if one_hot:
        found.append(f"labels from the columns {listed([table.columns[c] for c in one_hot])}, of which one is 1")
    elif label is not None and options.label_column is None and _key(table.columns[label]) != "label":
        found.append(f"labels from the column {table.columns[label]!r}")
    return [f"the table gives {' and '.join(found)}"] if found else []


def _unused(table: TextTable, keys: Sequence[str], rest: Sequence[int]) -> list[str]:
    """Return a line on the columns that are not used, and one on those that may hold groups."""
    lines = [f"columns that are not used: {listed([table.columns[c] for c in rest])}"] if rest else []
    groups = [table.columns[c] for c in rest if keys[c] in _MAYBE_GROUPS]
    if groups:
        lines.append(
            f"the column {groups[0]!r} may say which images belong together: call it `group` to keep those in one split"
        )
    return lines
