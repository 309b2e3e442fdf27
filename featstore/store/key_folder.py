"""The folder of a key: where its files are, and how those who work there keep out of each other's way.

It is a folder on a disk (`disk_folder`) or what looks like one on object storage (`object_folder`). Both have the same
files under the same names, so one copied into the other is a sound cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from featstore.objects.urls import Location
from featstore.store.layout import INDEX
from featstore.store.rowid import RowId
from featstore.system.files import FileStat
from featstore.system.large_pages import Bytes


class RowClaims(Protocol):
    """The rows that this process and others are computing. Claims save work and guarantee nothing."""

    def claim(self, row: RowId) -> bool:
        """Claim a row; return False if a living process has claimed it."""

    def is_free(self, row: RowId) -> bool:
        """Whether `claim` would succeed now."""

    def release(self, rows: Iterable[RowId]) -> None:
        """Release the claims on `rows`: they are stored, or never will be. Rows that were not claimed are ignored."""

    def release_all(self) -> None:
        """Release all claims: the rows are stored, or never will be."""

    def close(self) -> None:
        """Release all claims; nothing more is claimed."""


class WriterLock(Protocol):
    """What keeps a folder from being pruned, compacted or repaired while a writer is at work."""

    def acquire(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until nobody has the folder alone; `on_wait` is called once if it has to wait."""

    def release(self) -> None: ...


class KeyFolder(Protocol):
    """The folder of one key.

    Methods raise FileNotFoundError for a file that is not there, OSError (with a `strerror`) where one cannot be read,
    and StoreError, with a remedy, where one cannot be written, removed or listed. `str` is what a user calls it.
    """

    @property
    def location(self) -> Location: ...

    @property
    def keeps_parts(self) -> bool:
        """Whether the parts of the index are files of their own here; else it is written whole."""

    def exists(self) -> bool:
        """Whether anything is there."""

    # Looking

    def names(self) -> list[str]:
        """Return the names of all files and folders directly in it, in no order; raises OSError or StoreError."""

    def size(self) -> int:
        """Return the bytes of all files in it and below; files that come or go meanwhile may not be counted."""

    def shards(self) -> dict[str, FileStat]:
        """Return the state of each file with the name of a shard, in the order of the names; {} if nothing is there."""

    def stamp(self) -> int:
        """Return a number that is another one when shards have come or gone, or may have."""

    def lasting(self, stamp: int) -> int:
        """Return `stamp` if any later change gives another one, else -1."""

    def is_of_one_moment(self, files: Mapping[str, FileStat], stamp: int) -> bool:
        """Whether a listing made since `stamp` cannot have missed rows that were moved to another shard meanwhile."""

    # Reading

    def read(self, name: str) -> tuple[bytes, FileStat]:
        """Return the bytes of a file, and its state when they were read."""

    def read_index(self, name: str = INDEX, most: int | None = None) -> Bytes:
        """Return the bytes of a part of the index; `most`: no more than that many."""

    def bring(self, names: Collection[str]) -> None:
        """Make shards ready to be opened, several at once, where that takes time. Errors are left to `open_shard`."""

    def open_shard(self, name: str) -> tuple[int, FileStat | None]:
        """Return a descriptor of a shard, and the state of that file in which it was found sound.

        The state is that of a copy, whose ctime says nothing: it changes when the copy is used, or removed while it is
        open. None: what is known of the shard is what the index says. Raises StoreError for one that is not sound.
        """

    # Writing: on return a file is there for all and for good, whole; or StoreError is raised

    def prepare(self) -> None:
        """Make the folder ready for its first file."""

    def publish(self, name: str, data: bytes) -> FileStat:
        """Write a shard, which its digest names; return its state."""

    def begin(self, data: bytes) -> bool:
        """Write `spec.json` if there is none; return False if there is one. Of several writers one is the first."""

    def write(self, name: str, data: bytes) -> FileStat:
        """Write a file in the place of any other of this name; return its state."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def move_aside(self, name: str) -> None:
        """Move a file into the quarantine, under a name that is free there."""

    def clear_leftovers(self) -> int:
        """Remove what dead writers have left; return how many files."""

    def remove_all(self) -> list[str]:
        """Remove the key with all that is featstore's, the index first; return the names of what is left there."""

    # Those who work there

    def claims(self) -> RowClaims: ...

    def writer_lock(self) -> WriterLock: ...

    def alone(self) -> AbstractContextManager[None]:
        """Hold the folder alone in a `with` block; raises StoreError if it is in use or cannot be locked."""

    def mark_used(self) -> None:
        """Note that the key is used now. A folder that cannot be written has no such notes."""

    def last_used(self) -> float:
        """Return when the key was last used, in seconds since the epoch; raises OSError or StoreError."""
