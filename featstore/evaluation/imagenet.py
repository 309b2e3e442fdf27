"""Labels and names of the 1,000 classes of ImageNet."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from featstore.errors import DataError

CLASSES = 1000


def read_labels(path: str | os.PathLike[str]) -> dict[str, int]:
    """Class indices 0..999 by real path of the image, from a CSV `path,label`; paths are relative to its folder.

    Raises DataError with the line for anything else.
    """
    file = Path(path)
    labels: dict[str, int] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            rows = csv.DictReader(lines)
            if not {"path", "label"} <= {*(rows.fieldnames or ())}:
                found = ",".join(rows.fieldnames or ()) or "none"
                raise DataError(f"{file}: expected the columns path,label, found {found}")
            for row in rows:
                image = os.path.realpath(file.parent / (row["path"] or ""))
                if image in labels:
                    raise DataError(f"{file}, line {rows.line_num}: {row['path']} is named more than once")
                labels[image] = _class_index(row["label"] or "", f"{file}, line {rows.line_num}")
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(f"{file}: not a CSV that can be read: {error}") from error
    if not labels:
        raise DataError(f"{file}: holds no labels")
    return labels


def class_names() -> list[str]:
    """The names in the order of Keras' classes, `class 111` and so on where Keras' list is not on this machine.

    Keras downloads `imagenet_class_index.json` when it first decodes predictions; nothing is downloaded here.
    """
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        content = json.loads((home / "models" / "imagenet_class_index.json").read_bytes())
        return [str(content[str(index)][1]) for index in range(CLASSES)]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return [f"class {index}" for index in range(CLASSES)]


def _class_index(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:5]) < CLASSES and len(text) < 5):
        raise DataError(f"{where}: label {text!r}: expected the index of an ImageNet class, 0 to {CLASSES - 1}")
    return int(text)
