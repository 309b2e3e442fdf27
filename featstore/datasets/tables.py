"""Data sets that are tables: a CSV of paths, labels, splits and groups."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.split_names import split_named
from featstore.datasets.walk import Walk
from featstore.errors import DataError

_CSV_COLUMNS = ("path", "label", "split", "group")


def scan_csv(path: Path, options: DataOptions) -> Manifest:
    """Return the manifest of a CSV. Its paths are relative to its folder and may lead anywhere: the user wrote them."""
    walk = Walk(str(path.parent), options)
    pictures: list[Picture] = []
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            _check_columns(path, rows.fieldnames)
            for row in rows:
                pictures += _csv_picture(walk, path, rows.line_num, row)
    except (csv.Error, OSError) as error:
        raise DataError(f"{path}: cannot be read as a CSV: {error}") from error
    twice = [p for p, n in Counter(p.path for p in pictures).items() if n > 1]
    if twice:
        raise DataError(f"{path}: {twice[0]} is named more than once; keep one line per image")
    return Manifest(str(path), tuple(pictures), tuple(walk.skipped), options)


def _check_columns(path: Path, found: Sequence[str] | None) -> None:
    columns = list(found or ())
    if "path" not in columns or not {*columns} <= {*_CSV_COLUMNS} or len({*columns}) < len(columns):
        raise DataError(f"{path}: expected the columns path,label[,split][,group], found {','.join(columns) or 'none'}")


def _csv_picture(walk: Walk, path: Path, line: int, row: dict[str, str]) -> Iterator[Picture]:
    if None in row or not row["path"] or "\0" in row["path"]:
        raise DataError(f"{path}, line {line}: expected one path and at most one value per column")
    written = row.get("split") or ""
    split = split_named(written)
    if written and split is None:
        raise DataError(f"{path}, line {line}: split {written!r} is not known: use train, val or test")
    file = os.path.join(path.parent, row["path"])
    if (info := walk.stat(file)) is not None:
        yield Picture(file, info, row.get("label") or None, split, row.get("group") or None)
