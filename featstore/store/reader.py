"""Reading the rows of one key."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from featstore.errors import StoreError
from featstore.objects.urls import Url
from featstore.store.folders import FolderLike, as_folder
from featstore.store.index_part import ITEM_BYTES, ForgedIndex, ShardEntry
from featstore.store.inventory import MOST_SCANS, Inventory
from featstore.store.rowid import RowId
from featstore.store.spec_file import KeyFile, read_key_file, spec_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.objects.urls import Location
    from featstore.store.open_shards import OpenShards
    from featstore.store.places import Places

USED_SECONDS = 60.0  # between two notes that the key is in use


class RowReader:
    """The rows of features under one key, each an array of the same shape.

    Opening reads the index and verifies only shards that the index does not list. numpy and h5py load when rows are
    read, not when ids are looked up. Threads may share a reader, and a forked process may go on using one on a disk.

    folder: of the key; a path or a URL of one will do.

    Raises StoreError if the folder cannot be read or belongs to another key.
    """

    def __init__(self, folder: FolderLike, key: str) -> None:
        self.key_folder = as_folder(folder)
        self.key = key
        self._inventory = Inventory(self.key_folder, key)
        self._open: OpenShards | None = None
        self._tidied: object = None  # the snapshot whose removed shards are closed
        self._marked = -USED_SECONDS

    @staticmethod
    def open(folder: FolderLike) -> RowReader:
        """Open the key of a folder; raises StoreError if its spec cannot be read."""
        folder = as_folder(folder)
        try:
            return RowReader(folder, read_key_file(folder).key)
        except FileNotFoundError as error:
            missing = f"{spec_path(folder)}: is missing; `featstore cache repair` makes it from a shard"
            raise StoreError(missing) from error

    @property
    def folder(self) -> Location:
        """The path or the URL of the folder."""
        return self.key_folder.location

    def __contains__(self, row: RowId) -> bool:
        return row in self._inventory.now

    def which(self, rows: Sequence[RowId]) -> list[bool]:
        """Return for each id whether it is stored: much faster than one by one."""
        now = self._inventory.now
        listed = now.index.which(rows)
        if not now.added:
            return listed
        return [is_listed or row in now.added for row, is_listed in zip(rows, listed, strict=True)]

    def __len__(self) -> int:
        return len(self._inventory.now)

    @property
    def damaged(self) -> tuple[str, ...]:
        """A line for each shard that is left out."""
        return self._inventory.now.damaged

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """The shape of one row; None if there were never any."""
        return self._inventory.row_shape

    @property
    def item_bytes(self) -> int:
        """Bytes of a number in memory: 4 if any row is float32, since all rows are then read as such."""
        return max((ITEM_BYTES[entry.dtype] for entry in self.shards.values()), default=ITEM_BYTES["float16"])

    def bytes_of(self, ids: Collection[RowId]) -> int:
        """Return the bytes of the rows of `ids` as they are stored: of their numbers, uncompressed."""
        now = self._inventory.now
        sizes = {name: math.prod(entry.shape) * ITEM_BYTES[entry.dtype] for name, entry in now.shards.items()}
        if len(set(sizes.values())) == 1:  # the usual case, for which no row has to be looked up
            return len(ids) * next(iter(sizes.values()))
        return sum(sizes[now.find(row)[0]] for row in ids)

    @property
    def bytes_on_disk(self) -> int:
        return sum(entry.state.size for entry in self.shards.values())

    @property
    def shards(self) -> Mapping[str, ShardEntry]:
        """The verified shards by name."""
        return self._inventory.now.shards

    @property
    def key_file(self) -> KeyFile | None:
        """The content of `spec.json`; None if there is none, since nothing is stored yet."""
        return self._inventory.key_file

    def read(self, ids: Sequence[RowId] | NDArray[np.void]) -> NDArray[Any]:
        """Return the rows of `ids` in that order, (len(ids), ...); float32 if any of them is, else float16.

        Raises KeyError for an id that is not stored, StoreError for rows that were stored and are gone.
        """
        from featstore.store.shard import PluginMissing

        error: Exception
        for attempt in range(MOST_SCANS):
            try:
                return self.read_at(self.locate(ids))
            except (PluginMissing, ForgedIndex):  # another attempt would meet the same
                raise
            except KeyError as missing:
                if not attempt:
                    raise
                error = missing.with_traceback(None)  # its frames would keep the old files open
            except (OSError, StoreError) as gone:  # compacted, pruned or damaged: the folder says where rows are now
                error = gone.with_traceback(None)
            before = self._inventory.now.files
            self._inventory.rescan()
            self._close_removed()
            if attempt and self._inventory.now.files == before:
                break
        reason = f" ({error.strerror})" if isinstance(error, OSError) and isinstance(self.folder, Url) else ""
        raise StoreError(
            f"{self.folder}: rows that were stored are gone or cannot be read{reason}; run the same command again"
        ) from error

    def locate(self, ids: Sequence[RowId] | NDArray[np.void]) -> Places:
        """Return the places of the rows of `ids`, for several reads; raises KeyError for an id that is not stored."""
        return self._inventory.now.locate(ids)

    def read_at(self, places: Places, mapped: bool = False) -> NDArray[Any]:
        """Return the rows at `places`, as `read` does; raises OSError or StoreError if a shard is gone or damaged.

        mapped: read through memory maps where possible. That is faster, but a disk error ends the process.
        """
        return self._open_shards().read(places, self.shards, mapped)

    def view(self, places: Places) -> NDArray[Any] | None:
        """Return neighbouring rows of one shard as a read-only map of the file in its verified state.

        None if they are not neighbours, or if the shard is compressed, gone or damaged: `read` shows which.
        """
        with suppress(OSError, StoreError):
            return self._open_shards().view(places, self.shards)
        return None

    def shard_of(self, row: RowId) -> str:
        """Return the name of the shard that serves a row; raises KeyError for an id that is not stored."""
        return self._inventory.now.find(row)[0]

    def repeated_shards(self) -> set[str]:
        """Return the shards that share an id with another one, as two processes leave that made the same row."""
        return self._inventory.now.index.repeated()

    def refresh(self, every_file: bool = False) -> bool:
        """Take in what other processes have changed; return whether any shard is different.

        This costs one look at the folder if nothing was stored or removed. every_file: look at each file too, as
        opening does. Damage in place then shows, and damaged shards are tried again.
        """
        changed = self._inventory.refresh(every_file)
        self._close_removed()
        return changed

    @property
    def is_index_saved(self) -> bool:
        """Whether the stored index has all that was verified."""
        return self._inventory.is_saved

    def save_index(self) -> None:
        """Write the index if it has changed. A cache that cannot be written loses only time."""
        self._inventory.save()

    def _close_removed(self) -> None:
        """Close the files of shards that are gone, so that the disk gets their space back.

        A reader, a writer or a rescan may have noticed that they are gone, so the snapshots are compared.
        """
        now = self._inventory.now
        if self._open is not None and self._tidied is not now:
            self._open.keep_only(now.shards)
            self._tidied = now

    def _open_shards(self) -> OpenShards:
        if monotonic() - self._marked >= USED_SECONDS:
            self._marked = monotonic()
            self.key_folder.mark_used()
        if self._open is None:
            from featstore.store.open_shards import OpenShards

            self._open = OpenShards(self.key_folder, self.key, self._inventory.recheck)
        return self._open
