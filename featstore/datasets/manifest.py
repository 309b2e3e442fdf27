"""The manifest: the images of a data set with path, label, split and group.

The folders that exist decide which of three layouts is read:
    DATA/train/<class>/, DATA/{val,valid,validate,validation}/<class>/, DATA/test/<class>/   (any of the three)
    DATA/<class>/                                                                            (to be split)
    DATA/*.jpg                                                                               (no labels)
`test` may also have unlabelled images, directly or below one folder that is not a class. A CSV lists paths and labels.
Files next to the class or split folders are listed as skipped, and so are links to folders.
"""

from __future__ import annotations

import csv
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from featstore.errors import DataError
from featstore.system.files import FileStat
from featstore.system.paths import OneOrMorePaths, OnePath, one_or_more, one_path, refuse_whole_disk
from featstore.system.text import brief

SPLITS = ("train", "val", "test")
_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "__macosx", "@eadir"}  # the last is Synology's
_CSV_COLUMNS = ("path", "label", "split", "group")


class Picture(NamedTuple):
    """One image of a data set. Its bytes may not have been read yet.

    Attributes:
        path: Path of the file.
        stat: State of the file when it was found or read.
        label: Name of its class; None where it is unknown.
        split: `train`, `val` or `test`; None where none was given.
        group: Name of the group of images that must stay in one split; None where none was given.
        known_digest: SHA-256 (hex) of the bytes; None until they are read.
    """

    path: str
    stat: FileStat
    label: str | None = None
    split: str | None = None
    group: str | None = None
    known_digest: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the bytes; raises DataError if they have not been read yet."""
        if self.known_digest is None:
            raise DataError(f"{self.path}: has not been read, so its digest is not known; extract its features first")
        return self.known_digest

    @property
    def class_name(self) -> str:
        """The label; raises DataError if it is unknown."""
        if self.label is None:
            raise DataError(f"{self.path}: has no label, and one is needed here")
        return self.label

    def with_digest(self, digest: str) -> Picture:
        """Return the same picture with the digest of its bytes."""
        return Picture(*self[:5], digest)  # half the time of _replace, and there may be a million


class Skipped(NamedTuple):
    """A file that is not used as an image.

    Attributes:
        path: Path of the file or folder.
        reason: Why it is not used, in a few words.
    """

    path: str
    reason: str


@dataclass(frozen=True, repr=False)
class Manifest:
    """The images of a data set in a fixed order, and the files that are left out.

    Attributes:
        source: The folder, CSV or image that was scanned; the first one of several.
        pictures: The images, in the order of the rows of their features.
        skipped: Files that are not used as images, with the reasons.
        classes: The labels, sorted and without duplicates.
    """

    source: str
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...] = ()
    classes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        labels = {p.label for p in self.pictures if p.label is not None}
        object.__setattr__(self, "classes", tuple(sorted(labels)))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pictures)

    def __repr__(self) -> str:
        return brief(self)

    def of_split(self, split: str) -> tuple[Picture, ...]:
        """Return the images of `split`: `train`, `val` or `test`."""
        return tuple(p for p in self.pictures if p.split == split)

    def with_pictures(self, pictures: Sequence[Picture], skipped: Sequence[Skipped] = ()) -> Manifest:
        """Return the same data set with these pictures instead, and with more skipped files."""
        return replace(self, pictures=tuple(pictures), skipped=(*self.skipped, *skipped))


def scan(data: OnePath) -> Manifest:
    """List the images of a data set, without reading them.

    Args:
        data: A folder of images, a CSV (`path,label[,split][,group]`, paths relative to its folder), or one image.

    Returns:
        The manifest: a row for each image, with its label and split where the folders or the CSV give them.

    Raises:
        DataError: `data` does not exist, its layout is not one of the known ones, or it has no image.
        UsageError: `data` is not a path, or is the whole disk or a home folder.
    """
    source = one_path(data, "data")
    if not os.path.exists(source):
        raise DataError(f"{source}: no such file or folder; give a folder of images, a CSV or an image")
    if os.path.isdir(source):
        refuse_whole_disk(source)
        manifest = _scan_folder(source)
    elif source.lower().endswith(".csv"):
        manifest = _scan_csv(Path(source))
    else:
        manifest = list_files([source])
    if not manifest.pictures:
        left_out = "".join(f"; skipped: {path}: {reason}" for path, reason in manifest.skipped[:1])
        raise DataError(
            f"{source}: no image files found; expected DATA/<class>/*, DATA/train/<class>/* or DATA/*{left_out}"
        )
    return manifest


def list_files(paths: OneOrMorePaths) -> Manifest:
    """Return a manifest without labels of files, in the given order, and of all files below folders, sorted.

    Raises UsageError for anything but paths, and for a folder that is the whole disk or a home folder.
    """
    pictures: list[Picture] = []
    walk = _Walk()
    named = one_or_more(paths, "images")
    for path in named:
        if os.path.isdir(path):
            refuse_whole_disk(path)
            pictures += (Picture(file, info) for file, info in walk.files(path, os.path.realpath(path)))
        else:
            info = walk.stat(path)
            pictures += [] if info is None else [Picture(path, info)]
    return Manifest(named[0] if named else "", tuple(pictures), tuple(walk.skipped))


class _Walk:
    """A sorted walk over folders that records the skipped files. `os.scandir` saves a system call for each file."""

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []

    def folders(self, top: str) -> list[str]:
        """Return the names of the folders directly below `top`, without links: `files` lists those as skipped."""
        try:
            with os.scandir(top) as entries:
                return sorted(e.name for e in entries if not self._is_junk(e.name) and e.is_dir(follow_symlinks=False))
        except OSError as error:
            raise DataError(f"{top}: folder cannot be listed: {error.strerror}") from error

    def files(self, top: str, root: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        """Yield path and stat of the regular files below `top`, without links to outside of `root`.

        It uses a stack: folders may be nested more deeply than Python's recursion limit.
        """
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda e: e.name)
            except OSError as error:
                self.skipped.append(Skipped(folder, f"folder cannot be listed: {error.strerror}"))
                continue
            below: list[str] = []
            for entry in ordered:
                if self._is_junk(entry.name):
                    continue
                if entry.is_symlink() and not self._stays_inside(entry.path, root):
                    self.skipped.append(Skipped(entry.path, "link that leaves the data set"))
                elif entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif entry.is_symlink() and os.path.isdir(entry.path):
                    self.skipped.append(
                        Skipped(entry.path, "link to a folder; its files are listed under their own path")
                    )
                elif (info := self.stat(entry.path)) is not None:
                    yield entry.path, info
            if deep:
                waiting += reversed(below)

    def stat(self, path: str) -> FileStat | None:
        """Return the state of a regular file; anything else is added to `skipped`, and None is returned."""
        try:
            info = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: not a valid file name
            self.skipped.append(Skipped(path, f"cannot be opened: {getattr(error, 'strerror', error)}"))
            return None
        if stat.S_ISREG(info.st_mode):
            return FileStat.of(info)
        self.skipped.append(Skipped(path, "not a regular file"))
        return None

    def skip_files(self, top: str, root: str, reason: str) -> None:
        """Add the files directly in `top` to `skipped`."""
        self.skipped += [Skipped(path, reason) for path, _ in self.files(top, root, deep=False)]

    @staticmethod
    def _is_junk(name: str) -> bool:
        return name.startswith(".") or name.lower() in _JUNK

    @staticmethod
    def _stays_inside(path: str, root: str) -> bool:
        try:
            return os.path.realpath(path).startswith(root + os.sep)
        except OSError:  # it leads through a folder without permission
            return False


def _scan_folder(source: str) -> Manifest:
    walk = _Walk()
    root = os.path.realpath(source)
    names = walk.folders(source)
    splits = {name: _SPLIT_FOLDERS[name.lower()] for name in names if name.lower() in _SPLIT_FOLDERS}
    training = next((name for name, split in splits.items() if split == "train"), None)
    outside = [name for name in names if name not in splits]
    pictures: list[Picture] = []
    if splits and outside and not training:
        raise DataError(
            f"{source}: {next(iter(splits))!r} names a split, but {outside[0]!r} does not, and a train folder "
            "is missing: move the classes into train, or rename the folder if it is a class"
        )
    if splits:
        train_classes = walk.folders(os.path.join(source, training)) if training else []
        for name, split in splits.items():
            pictures += _scan_split(walk, os.path.join(source, name), root, split, train_classes)
        walk.skipped += (Skipped(os.path.join(source, n), "folder next to train is not val or test") for n in outside)
        walk.skip_files(source, root, "not in a split folder")
    elif names:
        pictures += _scan_classes(walk, source, root, names, None)
    else:
        pictures += (Picture(path, info) for path, info in walk.files(source, root))
    return Manifest(source, tuple(pictures), tuple(walk.skipped))


def _scan_split(walk: _Walk, top: str, root: str, split: str, train_classes: Sequence[str]) -> Iterator[Picture]:
    """Return the images of one split; `train_classes` is empty without a training split."""
    names = walk.folders(top)
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


def _scan_classes(walk: _Walk, top: str, root: str, names: Sequence[str], split: str | None) -> Iterator[Picture]:
    for label in names:
        for path, info in walk.files(os.path.join(top, label), root):
            yield Picture(path, info, label, split)
    walk.skip_files(top, root, "not in a class folder")


def _scan_csv(path: Path) -> Manifest:
    """Return the manifest of a CSV. Its paths are relative to its folder and may lead anywhere: the user wrote them."""
    walk = _Walk()
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
    return Manifest(str(path), tuple(pictures), tuple(walk.skipped))


def _check_columns(path: Path, found: Sequence[str] | None) -> None:
    columns = list(found or ())
    if "path" not in columns or not {*columns} <= {*_CSV_COLUMNS} or len({*columns}) < len(columns):
        raise DataError(f"{path}: expected the columns path,label[,split][,group], found {','.join(columns) or 'none'}")


def _csv_picture(walk: _Walk, path: Path, line: int, row: dict[str, str]) -> Iterator[Picture]:
    if None in row or not row["path"] or "\0" in row["path"]:
        raise DataError(f"{path}, line {line}: expected one path and at most one value per column")
    split = (row.get("split") or "").lower()
    if split and split not in _SPLIT_FOLDERS:
        raise DataError(f"{path}, line {line}: split {split!r} is not known: use train, val or test")
    file = os.path.join(path.parent, row["path"])
    if (info := walk.stat(file)) is not None:
        yield Picture(file, info, row.get("label") or None, _SPLIT_FOLDERS.get(split), row.get("group") or None)
