"""The inventory of a key: its verified shards, the places of their rows, and its `spec.json`.

It is kept in step with the folder, and threads share it. What was found in the folder is one `Snapshot`, replaced as a
whole, so that a thread that looks up rows needs no lock.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featstore.errors import StoreError, param
from featstore.store.chunks import can_decompress
from featstore.store.index import Index, load_index, save_index
from featstore.store.index_part import ShardEntry
from featstore.store.key_folder import KeyFolder
from featstore.store.row_shape import Shape, shape_of_rows, why_misshapen
from featstore.store.rowid import SIZE, RowId
from featstore.store.spec_file import KeyFile, read_key_file, spec_path
from featstore.system.files import FileStat
from featstore.system.fork_lock import ForkLock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.store.places import Places

MOST_SCANS = 20  # of a folder in which files come and go
MOST_ADDED = 2**14  # rows, 250 bytes each, before they are taken into the index


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The folder of a key at one moment, and the shards that writers of this process have added since.

    files: all files with the name of a shard. shards: those that are sound. damaged: a line for each of the others.
    index: of the rows of `shards` at that moment. unlisted: packed ids of the shards that the stored index lacks.
    added: places of the rows that came since; it only grows, so threads may look up rows in it at any time.
    """

    files: Mapping[str, FileStat]
    shards: Mapping[str, ShardEntry]
    damaged: tuple[str, ...]
    index: Index
    unlisted: Mapping[str, bytes]
    added: dict[RowId, tuple[str, int]]

    def __contains__(self, row: RowId) -> bool:
        return row in self.index or row in self.added

    def __len__(self) -> int:
        return len(self.index) + len(self.added)

    def find(self, row: RowId) -> tuple[str, int]:
        """Return (shard, row in it) of an id; raises KeyError if it is not stored."""
        place = self.added.get(row) or self.index.find(row)
        if place is None:
            raise KeyError(row)
        return place

    def locate(self, ids: Sequence[RowId] | NDArray[np.void]) -> Places:
        """Return the places of the rows of `ids`; raises KeyError for an id that is not stored."""
        import numpy as np

        from featstore.store.places import Places

        packed = ids if isinstance(ids, np.ndarray) else np.frombuffer(b"".join(ids), f"V{SIZE}")
        shard, row = self.index.find_all(packed)
        names, number = list(self.index.shards), dict[str, int]()
        for place in np.flatnonzero(shard < 0):
            name, row[place] = self.find(packed[place].tobytes())
            if name not in number:
                number[name] = len(names)
                names.append(name)
            shard[place] = number[name]
        return Places(names, shard, row)


class Inventory:
    """The inventory of the folder of `key`. Opening it reads the index and verifies only shards that are not listed.

    is_saved: whether the stored index has all that was verified.
    """

    def __init__(self, folder: KeyFolder, key: str) -> None:
        self.folder = folder
        self.key = key
        self.now = Snapshot(files={}, shards={}, damaged=(), index=Index(), unlisted={}, added={})
        self._stored = self.now.index  # as it was read or written last
        self.key_file: KeyFile | None = None
        self._lock = ForkLock()
        self._stamp = -1  # of the folder, as it was scanned
        self.is_saved = True
        self.load_key_file()
        self._scan()

    @property
    def row_shape(self) -> Shape | None:
        """The shape of one row; None if there were never any."""
        return shape_of_rows(self.now.shards, self.key_file.row_shape if self.key_file else None)

    def load_key_file(self) -> None:
        """Read `spec.json`, if there is one; raises StoreError if it cannot be used or belongs to another key."""
        try:
            found = read_key_file(self.folder)
        except FileNotFoundError:
            self.key_file = None
            return
        if found.key != self.key:
            raise StoreError(
                f"{spec_path(self.folder)}: belongs to the key {found.key}, not to {self.key}; choose another "
                f"{param('cache')}"
            )
        self.key_file = found

    def refresh(self, every_file: bool = False) -> bool:
        """Take in what other processes have changed; return whether any shard is different.

        The stamp of the folder shows shards that came or went. every_file: compare the state of each file too, which
        shows damage in place, and try damaged shards again.
        """
        stamp = self.folder.stamp()
        if stamp == self._stamp and not every_file:
            return False
        with self._lock:
            self.load_key_file()
            if self.folder.shards() == self.now.files and not (every_file and self.now.damaged):
                self._stamp = self.folder.lasting(stamp)
                return False
            self._scan()
            return True

    def rescan(self) -> None:
        """Look at the folder again, whether it has changed or not."""
        with self._lock:
            self._scan()

    def add(self, entry: ShardEntry, ids: Sequence[RowId], packed: bytes) -> None:
        """Take in a shard that was just written. A row that is stored already keeps its place."""
        with self._lock:
            now = self.now
            self.now = replace(
                now,
                files={**now.files, entry.name: entry.state},
                shards={**now.shards, entry.name: entry},
                unlisted={**now.unlisted, entry.name: packed},
            )
            for number, row in enumerate(ids):
                if row not in now:
                    now.added[row] = entry.name, number
            self.is_saved = False
        if len(now.added) >= MOST_ADDED:
            self.save()

    def save(self) -> None:
        """Write the index if it has changed. A cache that cannot be written loses only time."""
        with self._lock, suppress(StoreError):
            if not self.is_saved:
                index = self.now.index.with_shards(dict(self.now.shards), self.now.unlisted)
                self.now = replace(self.now, index=index, unlisted={}, added={})
                save_index(self.folder, index, self._stored.parts)
                self._stored = index
                self.is_saved = True

    def recheck(self, name: str, descriptor: int) -> None:
        """Verify an open shard that is not in the state of its entry: a process that made the same rows rewrote it.

        Raises StoreError if it is not sound.
        """
        entry, _ = self._check(name, os.dup(descriptor))
        if reason := why_misshapen(entry.shape, self.row_shape):
            raise StoreError(f"{name}: {reason}")
        with self._lock:
            self.now = replace(
                self.now,
                files={**self.now.files, name: entry.state},
                shards={**self.now.shards, name: entry},
            )

    def _scan(self) -> None:
        """Take in the shards of one moment: the scan is repeated if one came or went meanwhile."""
        for _ in range(MOST_SCANS):
            stamp = self.folder.stamp()
            self.now = self._look_up()
            if self.folder.is_of_one_moment(self.now.files, stamp):
                self._stamp = self.folder.lasting(stamp)
                return

    def _look_up(self) -> Snapshot:
        """Return what is in the folder. A file in a state that the index knows is trusted, any other is verified."""
        before = self.now
        index = self._stored = load_index(self.folder, [*self._stored.parts, *before.index.parts])
        files, damaged = self.folder.shards(), list[str]()
        shards: dict[str, ShardEntry] = {}
        unlisted: dict[str, bytes] = {}
        unknown: list[str] = []
        for name, state in files.items():
            entry = index.shards.get(name)
            if entry is None or entry.state != state or (not entry.checked and can_decompress()):
                entry = before.shards.get(name)
                if entry is None or entry.state != state:
                    unknown.append(name)
                    continue
                unlisted[name] = before.unlisted.get(name) or before.index.ids_of(name)
            shards[name] = entry
        self.folder.bring(unknown)
        for name in unknown:
            try:
                shards[name], unlisted[name] = self._verify(name, files[name])
            except FileNotFoundError:  # pruned meanwhile
                continue
            except StoreError as error:
                damaged.append(str(error))
        shards = dict(sorted(shards.items()))
        expected = shape_of_rows(shards, self.key_file.row_shape if self.key_file else None)
        for name, entry in list(shards.items()):
            if reason := why_misshapen(entry.shape, expected):
                damaged.append(f"{name}: {reason}")
                del shards[name]
                unlisted.pop(name, None)
        if unlisted or index.shards.keys() != shards.keys():
            index = index.with_shards(shards, unlisted)
            self.is_saved = False
        return Snapshot(files=files, shards=shards, damaged=tuple(damaged), index=index, unlisted=unlisted, added={})

    def _verify(self, name: str, state: FileStat) -> tuple[ShardEntry, bytes]:
        """Return the entry and the packed ids of a shard, which was listed in `state`.

        Raises FileNotFoundError if it is gone, StoreError if it is not sound.
        """
        try:
            descriptor, verified = self.folder.open_shard(name)
            return self._check(name, descriptor, state if verified else None)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{name}: cannot be read: {error.strerror}") from error

    def _check(self, name: str, descriptor: int, state: FileStat | None = None) -> tuple[ShardEntry, bytes]:
        """Return the entry and the packed ids of an open shard; raises StoreError if it is not sound.

        state: of the shard where it is stored, if the open file is a copy of it. The descriptor is closed.
        """
        from featstore.store.sandbox import inspect_shard

        with open(descriptor, "rb") as file:
            state = state or FileStat.of(os.fstat(descriptor))  # before the bytes: a later change then shows
            file.seek(0)
            contents = inspect_shard(name, file.read(), self.key)
        return ShardEntry.of(name, state, contents), contents.ids
