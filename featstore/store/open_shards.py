"""Reading rows from verified shards: files stay open, and each row is read into its place.

Rows are read with `preadv`: a bad sector, or a file that another program cuts short, is an error then and not the end
of the process (SIGBUS). Memory maps, in the same verified state, serve rows without a copy, and small rows from many
places several times as fast.
"""

from __future__ import annotations

import itertools
import math
import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from mmap import ACCESS_READ, ALLOCATIONGRANULARITY, mmap
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.store.index_part import ShardEntry
from featstore.store.key_folder import KeyFolder
from featstore.store.places import Places
from featstore.store.shard import DTYPES, load_shard
from featstore.system.files import FileStat
from featstore.system.fork_lock import ForkLock


def _most_open() -> int:
    """Return how many shards may be open: with its map each takes two of the process's files, often 1,024 in all."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2048 if limit == resource.RLIM_INFINITY else max(8, min(limit // 8, 2048))


MOST_OPEN = _most_open()
MOST_DECOMPRESSED = 2**28  # bytes

Recheck = Callable[[str, int], None]  # takes a name and the descriptor of an open file; raises StoreError


class OpenShards:
    """The open shards of a folder; threads may share it. They are closed with the last reference to it.

    recheck: verifies a shard that is not in the state of its entry.
    """

    def __init__(self, folder: KeyFolder, key: str, recheck: Recheck) -> None:
        self._folder, self._key = folder, key
        self._recheck = recheck
        self._owner = next(_owners)
        finalize(self, _pool.drop, self._owner, ())

    def read(self, places: Places, shards: Mapping[str, ShardEntry], mapped: bool) -> NDArray[Any]:
        """Return (n, ...) rows, float32 if any of them is, else float16.

        mapped: copy them from memory maps, if all are of one dtype, none is compressed, and all shards may be open at
        once. Raises OSError or StoreError if a shard is gone or damaged.
        """
        entries = {number: _entry(places.names[number], shards) for number in set(places.shard.tolist())}
        self._bring(entries.values())
        dtypes = {entry.dtype for entry in entries.values()}
        alike = len(dtypes) == 1 and all(entry.offset is not None for entry in entries.values())
        if mapped and alike and len(entries) <= MOST_OPEN:
            return self._gather(places, entries)
        shape = next((entry.shape for entry in shards.values()), ())
        out = np.empty((len(places.row), *shape), np.float32 if "float32" in dtypes else np.float16)
        memory = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for number, runs in places.runs():
            file = self._file(entries[number])
            if file.entry.offset is None:
                features = self._features(file)
                for place, row, count in runs:
                    out[place : place + count] = features[row : row + count]
            elif out.dtype == file.dtype:
                for place, row, count in runs:
                    file.fill(memory[place * file.row_bytes : (place + count) * file.row_bytes], row)
            else:
                for place, row, count in runs:
                    out[place : place + count] = file.read(row, count)
        return out

    def view(self, places: Places, shards: Mapping[str, ShardEntry]) -> NDArray[Any] | None:
        """Return neighbouring rows of one shard as a read-only map; None if they are not, or are compressed.

        The map is not shared: its memory is released with it. Raises OSError or StoreError as `read` does.
        """
        found = places.side_by_side()
        if found is None:
            return None
        file = self._file(_entry(found[0], shards))
        if file.entry.offset is None:
            return None
        return np.frombuffer(file.map(found[1], len(places.row)), file.dtype).reshape(-1, *file.entry.shape)

    def keep_only(self, names: Collection[str]) -> None:
        """Close all other shards, so that the disk space of those that were removed is freed."""
        _pool.drop(self._owner, names)

    def _gather(self, places: Places, entries: Mapping[int, ShardEntry]) -> NDArray[Any]:
        """Return rows from memory maps: for small rows several times as fast as a system call for each."""
        files = {number: self._file(entry) for number, entry in entries.items()}
        memory = {number: file.memory for number, file in files.items()}
        one = next(iter(files.values()))
        size = one.row_bytes
        starts = zip(places.shard.tolist(), (places.row * size).tolist(), strict=True)
        rows = bytearray().join([memory[number][at : at + size] for number, at in starts])
        return np.frombuffer(rows, one.dtype).reshape(-1, *one.entry.shape)

    def _file(self, entry: ShardEntry) -> _File:
        """Return the shard, open and in the state in which it was verified."""
        file = _pool.file(self._owner, entry.name)
        if file is None or not file.is_as_verified(entry):
            file = _File(*self._folder.open_shard(entry.name), entry)
            if not file.is_as_verified(entry):
                self._recheck(entry.name, file.descriptor)
            _pool.keep_file(self._owner, file)
        return file

    def _bring(self, entries: Collection[ShardEntry]) -> None:
        """Let the shards that are not open be brought, several at once."""
        self._folder.bring([entry.name for entry in entries if _pool.file(self._owner, entry.name) is None])

    def _features(self, file: _File) -> NDArray[Any]:
        """Return the rows of a compressed shard. They are kept for a while: the next rows are often in the same one."""
        features = _pool.features(self._owner, file.entry.name)
        if features is None:
            with file.handle() as handle:
                _, features = load_shard(file.entry.name, handle.read(), self._key)
            _pool.keep_features(self._owner, file.entry.name, features)
        return features


def _entry(name: str, shards: Mapping[str, ShardEntry]) -> ShardEntry:
    """Return the entry of a shard that was located; raises StoreError if the shard is gone."""
    if name not in shards:
        raise StoreError(f"{name}: was removed meanwhile")
    return shards[name]


class _File:
    """An open shard. It is closed with the last reference to it."""

    def __init__(self, descriptor: int, verified: FileStat | None, entry: ShardEntry) -> None:
        """`verified`: the state of this file in which it was found sound; None where the entry has it."""
        self.entry = entry
        self.descriptor = descriptor
        self._verified = verified
        finalize(self, os.close, self.descriptor)
        self.dtype = np.dtype(DTYPES[entry.dtype])
        self.row_bytes = math.prod(entry.shape) * self.dtype.itemsize

    def is_as_verified(self, entry: ShardEntry) -> bool:
        """Whether the file is in the state in which it was found sound, by its folder or as `entry` says."""
        state = FileStat.of(os.fstat(self.descriptor))
        if self._verified is None:
            return state == entry.state
        return state._replace(ctime_ns=self._verified.ctime_ns) == self._verified

    @cached_property
    def memory(self) -> memoryview:
        """The bytes of all rows, uncompressed."""
        return self.map(0, self.entry.rows)

    def map(self, first: int, count: int) -> memoryview:
        """Return the bytes of some rows as a map of the file, which lives as long as any array of it."""
        start = (self.entry.offset or 0) + first * self.row_bytes
        before = start % ALLOCATIONGRANULARITY
        size = before + count * self.row_bytes
        try:
            whole = mmap(self.descriptor, size, access=ACCESS_READ, offset=start - before)
        except ValueError as error:
            raise StoreError(f"{self.entry.name}: ends before its rows do") from error
        return memoryview(whole)[before:]

    def handle(self) -> BinaryIO:
        """Return another handle of the same file, at its beginning."""
        handle = open(os.dup(self.descriptor), "rb")  # noqa: SIM115 - the caller closes it
        handle.seek(0)
        return handle

    def read(self, row: int, count: int) -> NDArray[Any]:
        """Return (count, ...) rows from `row` on, in their stored dtype."""
        values = np.empty((count, *self.entry.shape), self.dtype)
        self.fill(memoryview(values.reshape(-1).view(np.uint8)), row)  # type: ignore[arg-type]
        return values

    def fill(self, memory: memoryview, row: int) -> None:
        """Fill `memory` with the bytes from `row` on; raises StoreError if the file is too short."""
        at = (self.entry.offset or 0) + row * self.row_bytes
        while memory:
            got = os.preadv(self.descriptor, [memory], at)
            if got == 0:
                raise StoreError(f"{self.entry.name}: ends before its rows do")
            memory, at = memory[got:], at + got


class _Pool:
    """Open files and decompressed rows of all stores of this process, by owner and name, the last used ones last.

    The limits are the process's, so they hold for all stores together.
    """

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._files: OrderedDict[tuple[int, str], _File] = OrderedDict()
        self._features: OrderedDict[tuple[int, str], NDArray[Any]] = OrderedDict()

    def file(self, owner: int, name: str) -> _File | None:
        with self._lock:
            file = self._files.get((owner, name))
            if file is not None:
                self._files.move_to_end((owner, name))
            return file

    def keep_file(self, owner: int, file: _File) -> None:
        with self._lock:
            self._files[owner, file.entry.name] = file
            self._files.move_to_end((owner, file.entry.name))
            while len(self._files) > MOST_OPEN:
                self._files.popitem(last=False)

    def features(self, owner: int, name: str) -> NDArray[Any] | None:
        with self._lock:
            features = self._features.get((owner, name))
            if features is not None:
                self._features.move_to_end((owner, name))
            return features

    def keep_features(self, owner: int, name: str, features: NDArray[Any]) -> None:
        with self._lock:
            self._features[owner, name] = features
            while len(self._features) > 1 and sum(f.nbytes for f in list(self._features.values())) > MOST_DECOMPRESSED:
                self._features.popitem(last=False)

    def drop(self, owner: int, keep: Collection[str]) -> None:
        """Forget what belongs to `owner`, except the names to `keep`."""
        with self._lock:
            for kept in (self._files, self._features):
                for key in [key for key in list(kept) if key[0] == owner and key[1] not in keep]:
                    kept.pop(key, None)


_pool = _Pool()
_owners = itertools.count()
