"""The manifest: the images of a data set with path, label, split and group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from featstore.datasets.labels import in_natural_order
from featstore.datasets.options import DataOptions
from featstore.errors import DataError
from featstore.objects.urls import absolute
from featstore.system.files import FileStat
from featstore.system.member_paths import find_member, is_pattern
from featstore.system.paths import is_url
from featstore.system.text import brief

SPLITS = ("train", "val", "test")


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
        return tuple.__new__(Picture, (*self[:5], digest))  # a fifth of the time of _replace: there may be a million


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
        options: How the data set was read.
        layout: What was found there, in a few words.
        notes: What is worth knowing about how it was understood.
        hint: Where no labels were found: what was probably meant.
        lost: Class folders of which no image is used, as they are links or empty.
        classes: The labels, in natural order and without duplicates.
    """

    source: str
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...] = ()
    options: DataOptions = field(default_factory=DataOptions)
    layout: str = ""
    notes: tuple[str, ...] = ()
    hint: str = ""
    lost: tuple[str, ...] = ()
    classes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        labels = {p.label for p in self.pictures if p.label is not None}
        object.__setattr__(self, "classes", in_natural_order(labels))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pictures)

    def __repr__(self) -> str:
        return brief(self)

    def place(self) -> str:
        """Return the absolute path of the source, or what it is called if it was in memory."""
        source = self.source
        is_place = is_url(source) or os.path.exists(source) or is_pattern(source) or find_member(source) is not None
        return absolute(source) if is_place else source

    def of_split(self, split: str) -> tuple[Picture, ...]:
        """Return the images of `split`: `train`, `val` or `test`."""
        return tuple(p for p in self.pictures if p.split == split)

    def with_pictures(self, pictures: Sequence[Picture], skipped: Sequence[Skipped] = ()) -> Manifest:
        """Return the same data set with these pictures instead, and with more skipped files."""
        return replace(self, pictures=tuple(pictures), skipped=(*self.skipped, *skipped))
