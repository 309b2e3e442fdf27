"""Data sets that are folders: which layout a folder has, and its images with their labels and splits.

    DATA/train/<class>/, DATA/val/<class>/, DATA/test/<class>/   splits with class folders, names as in `split_names`
    DATA/<class>/                                                class folders, to be split
    DATA/<class>/{train,val,test}/                               class folders with splits in them
    DATA/*.jpg                                                   images without labels
    DATA/only-one-folder/...                                     one of these, a level deeper

`test` may have images without labels. With `label_from` the labels are in the names of the files, and only splits are
read from folders. Names say what is a split; where they do not, folders that hold the same class folders are refused:
they may be splits or classes. What was decided is in the manifest's `layout` and `notes`.
"""

from __future__ import annotations

import os
from dataclasses import replace

from featstore.datasets.class_folders import (
    read_classes,
    read_classes_with_splits,
    refuse_unnamed_splits,
    splits_inside,
)
from featstore.datasets.folder_reading import FolderReading
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.name_labels import NamePattern, propose_pattern
from featstore.datasets.options import DataOptions
from featstore.datasets.split_folders import decide_between, note_other_splits, note_unused, read_splits
from featstore.datasets.split_names import splits_named
from featstore.datasets.walk import Walk
from featstore.datasets.walks import look_beside
from featstore.errors import DataError, param, spelled
from featstore.objects.places import absolute, below, folder_of, join
from featstore.system.imports import collection_paused
from featstore.system.member_paths import unpacked_path
from featstore.system.text import count


@collection_paused()
def scan_folder(source: str, options: DataOptions, walk: Walk) -> Manifest:
    """Return the manifest of a folder; raises DataError where it may mean one thing or another.

    walk: over the folder, or over what would be in it if its tars were unpacked.
    """
    reading = FolderReading(source, options, walk)
    if options.label_from is None:
        _read(reading)
    else:
        _read_names(reading, NamePattern(options.label_from))
    manifest = reading.manifest()
    if manifest.classes or not (tables := reading.walk.tables(source)):
        return manifest
    return replace(manifest, hint=f"did you mean {join(source, tables[0])}?")


def _read(reading: FolderReading) -> None:
    top = reading.descend(reading.source)
    names = reading.walk.folders(top)
    splits = splits_named(names)
    others = [name for name in names if name not in splits]
    note_other_splits(reading, top)
    if splits and others:
        splits = decide_between(reading, top, splits, others)
    if splits:
        read_splits(reading, top, splits)
    elif not names or reading.are_mostly_here(top, names):
        _read_unlabelled(reading, top)
    elif inner := splits_inside(reading, top, names):
        read_classes_with_splits(reading, top, names, inner)
    else:
        refuse_unnamed_splits(reading, top, names)
        reading.layout = "class folders"
        read_classes(reading, top, None)
    reading.note_links(top)


def _read_names(reading: FolderReading, pattern: NamePattern) -> None:
    """Read labels from names of files; images that do not fit have none."""
    top = reading.descend(reading.source)
    splits = splits_named(reading.walk.folders(top))
    reading.layout = f"labels from names like {pattern.pattern}" + (", split folders" if splits else "")
    unfit: list[str] = []
    for folder, split in splits.items() or [("", None)]:
        for path, info in reading.walk.files(join(top, folder)):
            label = pattern.label(below(unpacked_path(path), reading.source))
            unfit += [path] if label is None and split != "test" else []
            reading.pictures.append(Picture(path, info, label, split))
    if splits:
        note_unused(reading, top, [name for name in reading.walk.folders(top) if name not in splits], splits)
    if unfit:
        reading.notes.append(
            spelled(
                f"{count(len(unfit), 'file')} without a label, such as {unfit[0]}: the name does not fit "
                f"{param('label_from', pattern.pattern)}"
            )
        )


def _read_unlabelled(reading: FolderReading, top: str) -> None:
    reading.layout = "images without labels"
    reading.pictures += (Picture(path, info) for path, info in reading.walk.files(top))
    names = [os.path.basename(unpacked_path(picture.path)) for picture in reading.pictures]
    reading.hint = propose_pattern(names) or _hint_at_parent(reading)


def _hint_at_parent(reading: FolderReading) -> str:
    """Return the folder that was probably meant if this one looks like one class of it."""
    parent = folder_of(absolute(reading.source))
    try:
        walk = look_beside(parent, reading.options)
        siblings = [name for name in walk.folders(parent) if walk.has_images(join(parent, name))]
    except DataError:
        return ""
    return f"did you mean {folder_of(reading.source) or parent}?" if 2 <= len(siblings) <= 1000 else ""
