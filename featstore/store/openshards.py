"""Reading rows out of verified shards: the files stay open, and each row is read into its place.

Rows are read with `preadv`, not through a memory map: it is as fast, and a bad sector or a file that somebody cuts
short is an error then and not the end of the process (SIGBUS).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.store.index import ShardEntry, file_state
from featstore.store.shard import DTYPES, decompress

MOST_OPEN = 128  # files; a process may have 1,024 by default
MOST_DECOMPRESSED = 2**28  # bytes

CheckAgain = Callable[[str, BinaryIO], None]  # of a name and an open file; raises StoreError


class OpenShards:
    """The open shards of a folder. `check_again` is asked about each that is not in the state of its entry."""

    def __init__(self, folder: Path, key: str, check_again: CheckAgain) -> None:
        self._folder, self._key, self._check_again = folder, key, check_again
        self._open: OrderedDict[str, _File] = OrderedDict()
        self._decompressed: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def read_into(self, out: NDArray[Any], places: Sequence[int], entry: ShardEntry, rows: Sequence[int]) -> None:
        """Put `rows` of a shard at `places` of `out`; raises OSError or StoreError, as for a file that is gone."""
        file = self._file(entry)
        dtype = np.dtype(DTYPES[entry.dtype])
        if entry.offset is None:
            out[places] = self._features(file)[rows]
        elif out.dtype == dtype:
            file.read(out, places, rows)
        else:
            values = np.empty((len(rows), *entry.shape), dtype)
            file.read(values, range(len(rows)), rows)
            out[places] = values

    def map(self, entry: ShardEntry, first: int, count: int) -> NDArray[Any] | None:
        """Consecutive rows of a shard as a read-only map of the file; None where they are compressed."""
        file = self._file(entry)
        if entry.offset is None:
            return None
        dtype = np.dtype(DTYPES[entry.dtype])
        with file.handle() as handle:
            start = entry.offset + first * file.row_bytes
            return np.memmap(handle, dtype, "r", start, (count, *entry.shape))

    def close(self) -> None:
        self._open.clear()
        self._decompressed.clear()

    def _file(self, entry: ShardEntry) -> _File:
        """The shard, open, and in the state in which it was verified."""
        file = self._open.pop(entry.name, None)
        if file is None or file_state(os.fstat(file.descriptor)) != entry.state:
            file = _File(self._folder / entry.name, entry)
            if file_state(os.fstat(file.descriptor)) != entry.state:
                with file.handle() as handle:
                    self._check_again(entry.name, handle)
        self._open[entry.name] = file
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return file

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


class _File:
    """An open shard; it is closed with the last reference to it."""

    def __init__(self, path: Path, entry: ShardEntry) -> None:
        self.entry = entry
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        self.row_bytes = int(np.prod(entry.shape, dtype=np.int64)) * np.dtype(DTYPES[entry.dtype]).itemsize

    def read(self, out: NDArray[Any], places: Sequence[int], rows: Sequence[int]) -> None:
        """Put `rows` at `places` of `out`, (n, ...) in one piece; raises StoreError where the file is too short."""
        memory = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for place, row, count in _runs(places, rows):
            self._fill(memory[place * self.row_bytes : (place + count) * self.row_bytes], row)

    def handle(self) -> BinaryIO:
        """Another way into the same file, at its beginning."""
        handle = open(os.dup(self.descriptor), "rb")  # noqa: SIM115 - the caller closes it
        handle.seek(0)
        return handle

    def _fill(self, memory: memoryview, row: int) -> None:
        at = (self.entry.offset or 0) + row * self.row_bytes
        while memory:
            got = os.preadv(self.descriptor, [memory], at)
            if got == 0:
                raise StoreError(f"{self.entry.name}: ends before its rows do")
            memory, at = memory[got:], at + got

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _runs(places: Sequence[int], rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(place, row, count) of what lies side by side on both sides, so that it is read in one go."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end] != rows[end - 1] + 1 or places[end] != places[end - 1] + 1:
            yield places[start], rows[start], end - start
            start = end
