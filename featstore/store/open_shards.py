"""Reading rows out of verified shards: the files stay open, and each row is read into its place.

Rows are read with `preadv`: a bad sector or a file that somebody cuts short is an error then and not the end of the
process (SIGBUS). Who wants rows without a copy, or small ones from here and there several times as fast, has the files
as memory maps, in the same verified state.
"""

from __future__ import annotations

import math
import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property
from mmap import ACCESS_READ, ALLOCATIONGRANULARITY, mmap
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakMethod

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.store.index import ShardEntry, file_state
from featstore.store.places import Places
from featstore.store.shard import DTYPES, decompress


def _most_open() -> int:
    """How many shards: with its map each takes two of the files that a process may have open, often 1,024 in all."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2048 if limit == resource.RLIM_INFINITY else max(8, min(limit // 8, 2048))


MOST_OPEN = _most_open()
MOST_DECOMPRESSED = 2**28  # bytes

CheckAgain = Callable[[str, BinaryIO], None]  # a method, of a name and an open file; raises StoreError


class OpenShards:
    """The open shards of a folder. `check_again` is asked about each that is not in the state of its entry."""

    def __init__(self, folder: Path, key: str, check_again: CheckAgain) -> None:
        self._folder, self._key = folder, key
        self._check_again = WeakMethod(check_again)  # else store and files would wait for the garbage collector
        self._open: OrderedDict[str, _File] = OrderedDict()
        self._decompressed: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def read(self, places: Places, shards: Mapping[str, ShardEntry], mapped: bool) -> NDArray[Any]:
        """(n, ...) rows, float32 if any of them is, else float16; raises OSError or StoreError, as for a file gone.

        mapped: copied out of memory maps, if they are of one dtype, none is compressed and all may be open at once.
        """
        entries = {number: _entry(places.names[number], shards) for number in set(places.shard.tolist())}
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
        """Rows side by side in one shard as a read-only map; None if they are not, or are compressed.

        A map of its own: the memory that it takes is given back with it. Raises OSError or StoreError.
        """
        found = places.side_by_side()
        if found is None:
            return None
        file = self._file(_entry(found[0], shards))
        if file.entry.offset is None:
            return None
        return np.frombuffer(file.map(found[1], len(places.row)), file.dtype).reshape(-1, *file.entry.shape)

    def _gather(self, places: Places, entries: Mapping[int, ShardEntry]) -> NDArray[Any]:
        """As `read` with `mapped`, which for small rows is several times as fast as a call of the system for each."""
        files = {number: self._file(entry) for number, entry in entries.items()}
        memory = {number: file.memory for number, file in files.items()}
        one = next(iter(files.values()))
        size = one.row_bytes
        starts = zip(places.shard.tolist(), (places.row * size).tolist(), strict=True)
        rows = bytearray().join([memory[number][at : at + size] for number, at in starts])
        return np.frombuffer(rows, one.dtype).reshape(-1, *one.entry.shape)

    def _file(self, entry: ShardEntry) -> _File:
        """The shard, open, and in the state in which it was verified."""
        file = self._open.get(entry.name)
        if file is not None and file_state(os.fstat(file.descriptor)) == entry.state:
            self._open.move_to_end(entry.name)
            return file
        file = _File(self._folder / entry.name, entry)
        if file_state(os.fstat(file.descriptor)) != entry.state:
            self._verify(file)
        self._open[entry.name] = file
        self._open.move_to_end(entry.name)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return file

    def _verify(self, file: _File) -> None:
        check_again = self._check_again()
        if check_again is None:
            raise StoreError(f"{file.entry.name}: its store is closed")
        with file.handle() as handle:
            check_again(file.entry.name, handle)

    def _features(self, file: _File) -> NDArray[Any]:
        """The rows of a compressed shard, kept for a while: what is near in time is often near in the file."""
        name = file.entry.name
        features = self._decompressed.pop(name, None)
        if features is None:
            with file.handle() as handle:
                features = decompress(name, handle.read(), self._key)
        self._decompressed[name] = features
        while len(self._decompressed) > 1 and sum(f.nbytes for f in self._decompressed.values()) > MOST_DECOMPRESSED:
            self._decompressed.popitem(last=False)
        return features


def _entry(name: str, shards: Mapping[str, ShardEntry]) -> ShardEntry:
    """A shard that was there; raises StoreError if it is gone."""
    if name not in shards:
        raise StoreError(f"{name}: is not there any more")
    return shards[name]


class _File:
    """An open shard; it is closed with the last reference to it."""

    def __init__(self, path: Path, entry: ShardEntry) -> None:
        self.entry = entry
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        self.dtype = np.dtype(DTYPES[entry.dtype])
        self.row_bytes = math.prod(entry.shape) * self.dtype.itemsize

    @cached_property
    def memory(self) -> memoryview:
        """The bytes of all rows, uncompressed."""
        return self.map(0, self.entry.rows)

    def map(self, first: int, count: int) -> memoryview:
        """The bytes of some rows as a map of the file, which lives as long as anybody looks at it."""
        start = (self.entry.offset or 0) + first * self.row_bytes
        before = start % ALLOCATIONGRANULARITY
        size = before + count * self.row_bytes
        try:
            whole = mmap(self.descriptor, size, access=ACCESS_READ, offset=start - before)
        except ValueError as error:
            raise StoreError(f"{self.entry.name}: ends before its rows do") from error
        return memoryview(whole)[before:]

    def handle(self) -> BinaryIO:
        """Another way into the same file, at its beginning."""
        handle = open(os.dup(self.descriptor), "rb")  # noqa: SIM115 - the caller closes it
        handle.seek(0)
        return handle

    def read(self, row: int, count: int) -> NDArray[Any]:
        """(count, ...) rows from `row` on, as they are stored."""
        values = np.empty((count, *self.entry.shape), self.dtype)
        self.fill(memoryview(values.reshape(-1).view(np.uint8)), row)  # type: ignore[arg-type]
        return values

    def fill(self, memory: memoryview, row: int) -> None:
        """Fill `memory` with the file from `row` on; raises StoreError where it is too short."""
        at = (self.entry.offset or 0) + row * self.row_bytes
        while memory:
            got = os.preadv(self.descriptor, [memory], at)
            if got == 0:
                raise StoreError(f"{self.entry.name}: ends before its rows do")
            memory, at = memory[got:], at + got

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
