"""Data sets that are folders: the layouts that are understood.

The folders that exist decide which of three layouts is read:
    DATA/train/<class>/, DATA/{val,valid,validate,validation}/<class>/, DATA/test/<class>/   (any of the three)
    DATA/<class>/                                                                            (to be split)
    DATA/*.jpg                                                                               (no labels)
`test` may also have unlabelled images, directly or below one folder that is not a class. Files next to the class or
split folders are listed as skipped, and so are links to folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.options import DataOptions
from featstore.datasets.split_names import splits_named
from featstore.datasets.walk import Walk
from featstore.errors import DataError


def scan_folder(source: str, options: DataOptions) -> Manifest:
    """Return the manifest of a folder."""
    walk = Walk(options)
    root = os.path.realpath(source)
    names = walk.folders(source, root)
    splits = splits_named(names)
    training = next((name for name, split in splits.items() if split == "train"), None)
    outside = [name for name in names if name not in splits]
    pictures: list[Picture] = []
    if splits and outside and not training:
        raise DataError(
            f"{source}: {next(iter(splits))!r} names a split, but {outside[0]!r} does not, and a train folder "
            "is missing: move the classes into train, or rename the folder if it is a class"
        )
    if splits:
        train_classes = walk.folders(os.path.join(source, training), root) if training else []
        for name, split in splits.items():
            pictures += _scan_split(walk, os.path.join(source, name), root, split, train_classes)
        walk.skipped += (Skipped(os.path.join(source, n), "folder next to train is not val or test") for n in outside)
        walk.skip_files(source, root, "not in a split folder")
    elif names:
        pictures += _scan_classes(walk, source, root, names, None)
    else:
        pictures += (Picture(path, info) for path, info in walk.files(source, root))
    return Manifest(source, tuple(pictures), tuple(walk.skipped), options)


def _scan_split(walk: Walk, top: str, root: str, split: str, train_classes: Sequence[str]) -> Iterator[Picture]:
    """Return the images of one split; `train_classes` is empty without a training split."""
    names = walk.folders(top, root)
    unknown = [name for name in names if name not in train_classes]
    if split == "test" and names == unknown and len(names) < 2:
        return (Picture(path, info, None, split) for path, info in walk.files(top, root))
    if not names:
        raise DataError(f"{top}: no class folders; expected {top}/<class>/ with the images of each class")
    if train_classes and unknown:
        raise DataError(
            f"{top}: class {unknown[0]!r} is not in the training split, which has {', '.join(train_classes)}; "
            "rename or move the folder"
        )
    return _scan_classes(walk, top, root, names, split)


def _scan_classes(walk: Walk, top: str, root: str, names: Sequence[str], split: str | None) -> Iterator[Picture]:
    for label in names:
        for path, info in walk.files(os.path.join(top, label), root):
            yield Picture(path, info, label, split)
    walk.skip_files(top, root, "not in a class folder")
