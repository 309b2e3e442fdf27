"""Labels and names of the 1,000 classes of ImageNet."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from featstore.bases.weights_file import IMAGENET_CLASSES
from featstore.errors import DataError
from featstore.system.paths import OnePath


def read_labels(path: OnePath) -> dict[str, int]:
    """Return class indices 0..999 by the real path of the image, from a CSV `path,label`.

    Paths are relative to the folder of the CSV. A label is an index. With Keras' list of the classes on this machine it
    may also be a WordNet id, such as n01440764. Raises DataError with the line for anything else.
    """
    file = Path(path)
    labels: dict[str, int] = {}
    wnids = {wnid: number for number, (wnid, _) in enumerate(_read_index() or ())}
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            rows = csv.DictReader(lines)
            if not {"path", "label"} <= {*(rows.fieldnames or ())}:
                found = ",".join(rows.fieldnames or ()) or "none"
                raise DataError(f"{file}: expected the columns path,label, found {found}")
            for row in rows:
                where = f"{file}, line {rows.line_num}"
                if not row["path"]:
                    raise DataError(f"{where}: has no path; expected path,label")
                image = os.path.realpath(file.parent / row["path"])
                if image in labels:
                    raise DataError(f"{where}: {row['path']} is listed more than once")
                labels[image] = _class_index(row["label"] or "", where, wnids)
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(f"{file}: cannot be read as CSV: {error}") from error
    if not labels:
        raise DataError(f"{file}: has no labels; expected rows path,label")
    return labels


def class_names() -> list[str]:
    """Return the names of the classes in Keras' order, or `class 0`, `class 1`, ... without Keras' list.

    Keras downloads that list, `imagenet_class_index.json`, when it first decodes predictions. This function downloads
    nothing.
    """
    index = _read_index()
    return [name for _, name in index] if index else [f"class {number}" for number in range(IMAGENET_CLASSES)]


def _index_file() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / "imagenet_class_index.json"


def _read_index() -> list[tuple[str, str]] | None:
    """Return (WordNet id, name) of each class from Keras' list; None where it is missing or damaged."""
    try:
        content = json.loads(_index_file().read_bytes())
        index = [(str(content[str(number)][0]), str(content[str(number)][1])) for number in range(IMAGENET_CLASSES)]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    return index if len({wnid for wnid, _ in index}) == len(content) == IMAGENET_CLASSES else None


def _class_index(text: str, where: str, wnids: Mapping[str, int]) -> int:
    if text in wnids:
        return wnids[text]
    if re.fullmatch("n[0-9]{8}", text) and not wnids:
        raise DataError(
            f"{where}: label {text!r}: WordNet ids are looked up in {_index_file()}, which cannot be read; give the "
            f"index of the class, 0 to {IMAGENET_CLASSES - 1}"
        )
    if not (text.isascii() and text.isdigit() and int(text[:5]) < IMAGENET_CLASSES and len(text) < 5):
        raise DataError(
            f"{where}: label {text!r}: expected the index of an ImageNet class, 0 to {IMAGENET_CLASSES - 1}, "
            "or its WordNet id"
        )
    return int(text)
