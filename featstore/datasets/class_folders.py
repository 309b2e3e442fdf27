"""Class folders: `DATA/<class>/`, and what looks like it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from featstore.datasets.folder_reading import FolderReading
from featstore.datasets.labels import clean_label, in_natural_order
from featstore.datasets.manifest import Picture
from featstore.datasets.split_names import splits_named
from featstore.errors import DataError, param
from featstore.objects.places import join
from featstore.system.text import count, listed

_PARTS_OF_A_SET = {"images", "image", "imgs", "labels", "annotations", "masks", "mask", "bboxes"}


def read_classes(reading: FolderReading, top: str, split: str | None) -> None:
    """Read the folders in `top` as classes."""
    empty: list[str] = []
    nested: list[str] = []
    for label, folders in reading.labels_below(top).items():
        before = len(reading.pictures)
        for folder in folders:
            path = join(top, folder)
            reading.pictures += (Picture(file, info, label, split) for file, info in reading.walk.files(path))
            below = reading.walk.folders(path)
            if len(below) > 1 and not reading.walk.has_images(path):
                nested.append(f"{folder} ({listed(below)})")
        empty += [label] if len(reading.pictures) == before else []
        if len(folders) > 1:
            reading.notes.append(
                f"the folders {' and '.join(map(repr, folders))} in {top} differ only in blanks or Unicode form, "
                "and are taken as one class"
            )
    reading.lost += empty
    if empty:
        reading.notes.append(f"no file in the class folder {listed(empty)} of {top}: not taken as a class there")
    if nested:
        reading.notes.append(
            f"class folders that hold only folders: {listed(nested)}; all images below one are of one class"
        )
    before = len(reading.walk.skipped)
    images = reading.walk.images(top)
    reading.walk.skip_files(top, "not in a class folder")
    if images and len(reading.walk.skipped) > before:
        reading.notes.append(f"{count(images, 'image')} directly in {top}, in no class folder: not used")


def refuse_unnamed_splits(reading: FolderReading, top: str, names: Sequence[str]) -> None:
    """Refuse folders side by side that hold the same class folders, and parts of a set for other purposes."""
    if len(names) > 1 and all(name.lower() in _PARTS_OF_A_SET for name in names):
        raise DataError(
            f"{top}: the folders {listed(names)} are not classes but parts of a data set; expected {top}/<class>/, "
            "or a CSV with the columns path and label"
        )
    below = {
        name: set(folders)
        for name in names
        if (folders := reading.walk.folders(join(top, name))) and not reading.walk.has_images(join(top, name))
    }
    times = Counter(chain.from_iterable(below.values()))
    shared = in_natural_order(name for name, number in times.items() if number > 1)
    alike = [name for name, folders in below.items() if len(folders.intersection(shared)) > 1]
    if len(alike) > 1:
        raise DataError(
            f"{top}: the folders {listed(alike)} hold the same class folders ({listed(shared)}), so they "
            f"look like splits: rename them to train, val and test; if they are classes, give "
            f"{param('label_from', '{label}/*/*')}"
        )


def splits_inside(reading: FolderReading, top: str, names: Sequence[str]) -> dict[str, str]:
    """Return the splits in class folders, `DATA/<class>/train/`, by their names; none if there are others."""
    inner = {name: reading.walk.folders(join(top, name)) for name in names}
    found = splits_named(sorted(set(chain.from_iterable(inner.values()))))
    each = all(
        below and all(name in found and not reading.walk.folders(join(top, label, name)) for name in below)
        for label, below in inner.items()
    )
    return found if each and len(names) > 1 and "train" in found.values() else {}


def read_classes_with_splits(reading: FolderReading, top: str, names: Sequence[str], splits: dict[str, str]) -> None:
    reading.layout = "class folders with split folders in them"
    for name in names:
        for inner in reading.walk.folders(join(top, name)):
            files = reading.walk.files(join(top, name, inner))
            label = clean_label(name) or name
            reading.pictures += (Picture(path, info, label, splits[inner]) for path, info in files)
        reading.walk.skip_files(join(top, name), "not in a split folder")
    reading.walk.skip_files(top, "not in a class folder")
