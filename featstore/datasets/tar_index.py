"""The index of a tar: where its files are. It is found by a pass over the headers, and kept on disk for later runs.

An index holds for one state of its tar. One whose tar changed just before the pass is not kept, for the same reason as
in `digests`: a second change could have the same stamps. Losing it costs only time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from featstore.datasets.manifest import Skipped
from featstore.datasets.tar_contents import Contents
from featstore.datasets.tar_files import Changed, OpenTar
from featstore.errors import DataError, StoreError
from featstore.objects.urls import absolute
from featstore.system.files import FileStat, read_regular, write_whole

_FORMAT = 1


class Place(NamedTuple):
    """Where the bytes of a file are in its tar."""

    start: int
    size: int


class TarIndex:
    """The files of a tar in one state of it, in the order in which they lie there.

    state: that of the tar. labels, skipped, notes: as in `Contents`.
    """

    def __init__(self, state: FileStat, contents: Contents) -> None:
        self.state = state
        self.labels, self.skipped = contents.labels, tuple(contents.skipped)
        self._places = {name: number for number, name in enumerate(contents.files)}
        rows = list(contents.files.values())  # in arrays, a million files take 100 MB less than as tuples
        self._starts, self._sizes = (array("Q", (row[column] for row in rows)) for column in range(2))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._places)

    def find(self, name: str) -> Place:
        """Return where a file is; raises FileNotFoundError if there is none of this name."""
        if (number := self._places.get(name)) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file in the tar")
        return Place(self._starts[number], self._sizes[number])

    def file_state(self, place: Place) -> FileStat:
        """Return the state of a file: its size, and what changes with the tar and with where the file lies in it."""
        where = f"{self.state.inode}:{self.state.size}:{place.start}".encode()
        inode = int.from_bytes(hashlib.sha256(where).digest()[:7])
        return FileStat(place.size, self.state.mtime_ns, self.state.ctime_ns, inode)

    def as_json(self) -> dict[str, object]:
        return {
            "state": list(self.state),
            "names": list(self._places),
            "starts": self._starts.tolist(),
            "sizes": self._sizes.tolist(),
            "labels": self.labels,
            "skipped": self.skipped,
        }


def find_index(tar: OpenTar, folder: Path | None) -> TarIndex:
    """Return the index of a tar, as it was kept in `folder`, or else by a pass over its headers.

    Raises DataError for what is not a tar or changes meanwhile, and OSError if it cannot be read.
    """
    file = folder and folder / f"{hashlib.sha256(os.fsencode(absolute(tar.path))).hexdigest()[:32]}.json"
    if file and (kept := _load(file, tar)):
        return kept
    from featstore.datasets.tar_headers import Window, read_contents  # a run with a kept index needs no `tarfile`

    begun, grain = time.time_ns(), tar.settle()
    try:
        contents = read_contents(tar.path, Window(tar.read, tar.state.size, *tar.pieces))
    except Changed as error:
        raise DataError(f"{tar.path}: {error.strerror}; run the same command again") from error
    index = TarIndex(tar.state, contents)
    if file and grain is not None and max(tar.state.mtime_ns, tar.state.ctime_ns) + grain <= begun:
        text = json.dumps({"format": _FORMAT, "tar": absolute(tar.path), **index.as_json()}).encode()
        with suppress(StoreError):
            write_whole(file, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    return index


def _load(file: Path, tar: OpenTar) -> TarIndex | None:
    """Return the index that a file keeps for this state of a tar, if it does and is not damaged."""
    try:
        check, _, text = read_regular(file)[0].partition(b"\n")
        kept = json.loads(text) if hashlib.sha256(text).hexdigest().encode() == check else {}
        if (kept.get("format"), kept.get("tar"), kept.get("state")) != (_FORMAT, absolute(tar.path), [*tar.state]):
            return None
        rows = zip(kept["starts"], kept["sizes"], strict=True)
        files = dict(zip(kept["names"], rows, strict=True))
        contents = Contents(files, kept["labels"], [Skipped(*item) for item in kept["skipped"]])
        return TarIndex(tar.state, contents) if _may_be_of(contents, tar.state.size) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _may_be_of(contents: Contents, size: int) -> bool:
    """Return whether a tar of this size may hold this: the check sum is not a signature."""
    texts = (*contents.files, *chain.from_iterable(contents.labels.items()), *chain.from_iterable(contents.skipped))
    lie_inside = all(0 <= start <= start + length <= size for start, length in contents.files.values())
    return lie_inside and all(isinstance(text, str) for text in texts)
