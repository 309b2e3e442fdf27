"""Labels and names of the 1,000 classes of ImageNet."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from featstore.bases.weights_file import CLASSES
from featstore.errors import DataError


def read_labels(path: str | os.PathLike[str]) -> dict[str, int]:
    """Class indices 0..999 by real path of the image, from a CSV `path,label`; paths are relative to its folder.

    A label is an index, or a WordNet id such as n01440764 where Keras' list of the classes is on this machine.

    Raises DataError with the line for anything else.
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
                    raise DataError(f"{where}: names no image; expected path,label")
                image = os.path.realpath(file.parent / row["path"])
                if image in labels:
                    raise DataError(f"{where}: {row['path']} is named more than once")
                labels[image] = _class_index(row["label"] or "", where, wnids)
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(f"{file}: not a CSV that can be read: {error}") from error
    if not labels:
        raise DataError(f"{file}: holds no labels")
    return labels


def class_names() -> list[str]:
    """The names in the order of Keras' classes, `class 111` and so on where Keras' list is not on this machine.

    Keras downloads `imagenet_class_index.json` when it first decodes predictions; nothing is downloaded here.
    """
    index = _read_index()
    return [name for _, name in index] if index else [f"class {number}" for number in range(CLASSES)]


def _index_file() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / "imagenet_class_index.json"


def _read_index() -> list[tuple[str, str]] | None:
    """(WordNet id, name) by class, as in Keras' list; None where it is not on this machine, or is damaged."""
    try:
        content = json.loads(_index_file().read_bytes())
        index = [(str(content[str(number)][0]), str(content[str(number)][1])) for number in range(CLASSES)]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    return index if len({wnid for wnid, _ in index}) == len(content) == CLASSES else None


def _class_index(text: str, where: str, wnids: Mapping[str, int]) -> int:
    if text in wnids:
        return wnids[text]
    if re.fullmatch("n[0-9]{8}", text) and not wnids:
        raise DataError(
            f"{where}: label {text!r}: WordNet ids are looked up in {_index_file()}, which cannot be read; give the "
            f"index of the class, 0 to {CLASSES - 1}"
        )
    if not (text.isascii() and text.isdigit() and int(text[:5]) < CLASSES and len(text) < 5):
        raise DataError(
            f"{where}: label {text!r}: expected the index of an ImageNet class, 0 to {CLASSES - 1}, or its WordNet id"
        )
    return int(text)
