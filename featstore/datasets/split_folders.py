"""Split folders: `DATA/train/<class>/` and its companions, and folders of which only some are splits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import chain

from featstore.datasets.class_folders import read_classes
from featstore.datasets.folder_reading import FolderReading
from featstore.datasets.labels import fold_label, in_natural_order
from featstore.datasets.manifest import Picture, Skipped
from featstore.datasets.name_labels import propose_pattern
from featstore.datasets.split_names import split_named, splits_named
from featstore.datasets.walks import look_beside
from featstore.errors import DataError
from featstore.objects.places import absolute, folder_of, join
from featstore.system.member_paths import unpacked_path
from featstore.system.text import count, listed


def decide_between(reading: FolderReading, top: str, splits: dict[str, str], others: list[str]) -> dict[str, str]:
    """Return the splits among folders of which only some have the name of one; none if all are classes."""
    named = next(iter(splits))
    if "train" not in splits.values():
        raise DataError(
            f"{top}: {named!r} names a split, but {others[0]!r} does not, and a train folder is missing: move the "
            "classes into train, or rename the folder if it is a class"
        )
    holding = [name for name in others if reading.walk.has_images(join(top, name))]
    if len(splits) == 1 and holding:
        if reading.walk.has_images(join(top, named)):
            reading.notes.append(
                f"the folder {named} is taken for a class, since {listed(holding)} next to it are classes"
            )
            return {}
        if len(holding) > 1:
            raise DataError(
                f"{top}: {named!r} names a split, but {listed(holding)} next to it hold images like classes: move "
                f"them elsewhere, or rename {named!r} if it is a class"
            )
    note_unused(reading, top, others, splits)
    return splits


def read_splits(reading: FolderReading, top: str, splits: dict[str, str]) -> None:
    """Read the folders in `top` whose splits are known; each may hold its class folders a level deeper."""
    reading.layout = "split folders"
    folders: dict[str, list[str]] = defaultdict(list)
    for name, split in splits.items():
        folders[split].append(name)
    for split, names in folders.items():
        if len(names) > 1:
            raise DataError(
                f"{top}: {listed(list(map(repr, names)))} all name the split {split}; keep one, or join them"
            )
    tops = {split: reading.descend(join(top, names[0])) for split, names in folders.items()}
    train = reading.labels_below(tops["train"]) if "train" in tops else {}
    for split, path in tops.items():
        _read_split(reading, path, split, set(train))
    reading.walk.skip_files(top, "not in a split folder")


def _read_split(reading: FolderReading, top: str, split: str, trained: set[str]) -> None:
    """Read one split; `trained` are the labels of the training split, none without one."""
    labels = reading.labels_below(top)
    unknown = [label for label in labels if label not in trained]
    folded = {fold_label(label): label for label in trained}
    if split == "test" and (
        reading.are_mostly_here(top, reading.walk.folders(top))
        or (len(labels) < 2 and unknown == list(labels) and not any(fold_label(label) in folded for label in labels))
    ):
        reading.pictures += (Picture(path, info, None, split) for path, info in reading.walk.files(top))
        return
    if not labels or reading.are_mostly_here(top, reading.walk.folders(top)):
        _refuse_without_classes(reading, top)
    if trained and unknown:
        near = folded.get(fold_label(unknown[0])) or next(iter(get_close_matches(unknown[0], trained, 1)), None)
        remedy = f"did you mean {near!r}? Rename the folder" if near else "rename or move the folder"
        raise DataError(
            f"{top}: class {unknown[0]!r} is not in the training split, which has "
            f"{listed(in_natural_order(trained))}; {remedy}"
        )
    read_classes(reading, top, split)
    reading.note_links(top)


def _refuse_without_classes(reading: FolderReading, top: str) -> None:
    names = [os.path.basename(unpacked_path(path)) for path, _ in reading.walk.files(top)]
    proposed = propose_pattern(names)
    raise DataError(
        f"{top}: no class folders; expected {top}/<class>/ with the images of each class"
        + (f"; {proposed}" if proposed else "")
    )


def note_unused(reading: FolderReading, top: str, others: Sequence[str], splits: dict[str, str]) -> None:
    """Tell of folders next to splits that are not used, and of those that look like one more split."""
    named = next((name for name, split in splits.items() if split == "train"), next(iter(splits)))
    known = set(chain.from_iterable(reading.walk.folders(join(top, name)) for name in splits))
    for name in others:
        path = join(top, name)
        reading.walk.skipped.append(Skipped(path, "folder next to train is not val or test"))
        files = sum(1 for _ in reading.walk.fresh(path).files(path))
        same = known.intersection(reading.walk.folders(path))
        remedy = ": it holds class folders, so rename it to val or test if it is a split" if same else ""
        reading.notes.append(f"the folder {name} next to {named} is not used ({count(files, 'file')}){remedy}")


def note_other_splits(reading: FolderReading, top: str) -> None:
    """Tell of further splits next to a training split; a test split alone is for an evaluation."""
    parent, name = folder_of(absolute(top)), os.path.basename(absolute(top))
    if split_named(name) != "train":
        return
    try:
        folders = look_beside(parent, reading.options).folders(parent)
        others = [other for other in splits_named(folders) if other != name]
    except DataError:
        return
    if others:
        reading.notes.append(f"{parent} holds other splits next to {name}: {listed(others)}; give {parent} to use them")
