"""Tars that are open: bytes at a place, on a disk or on object storage. Threads share them."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Protocol

from featstore.objects.bucket import Bucket
from featstore.objects.opening import open_bucket
from featstore.objects.state import SETTLED
from featstore.objects.urls import Url, parse_url
from featstore.system.files import FileStat, open_regular
from featstore.system.fork_lock import ForkLock
from featstore.system.paths import is_url
from featstore.system.stamps import FOREIGN_NS, settle

_MOST_OPEN = 64
_BLOCK_OF_DISK = (8 * 2**10, 8 * 2**10)  # the headers of a sample of one picture and two small files
_REQUEST = (2**20, 2**23)  # many small files come with their headers, and large ones are stepped over


class OpenTar(Protocol):
    """A tar that is open.

    path: as it was named. state: when it was opened. pieces: the least and the most bytes to read at once in a pass.
    """

    path: str
    state: FileStat
    pieces: tuple[int, int]

    def read(self, start: int, length: int) -> bytes:
        """Return some bytes, or fewer at the end of the tar; raises OSError."""

    def settle(self) -> int | None:
        """Return the grain of its stamps, as `stamps.settle` does."""

    def has_changed(self) -> bool:
        """Return whether the open file is another than it was when it was opened, where that can be told at no cost."""


class _TarOnDisk:
    """A tar on a disk. Its descriptor is closed when nobody holds the object any more."""

    pieces = _BLOCK_OF_DISK

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1
        file, self.state = open_regular(path)
        with file:
            self._descriptor = os.dup(file.fileno())

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def read(self, start: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, start)
        while len(data) < length and (more := os.pread(self._descriptor, length - len(data), start + len(data))):
            data += more
        return data

    def settle(self) -> int | None:
        return settle(self._descriptor)

    def has_changed(self) -> bool:
        return FileStat.of(os.fstat(self._descriptor)) != self.state


class _TarObject:
    """A tar on object storage. It cannot change in place; the mark of each file says whether it was replaced."""

    pieces = _REQUEST

    def __init__(self, url: Url, state: FileStat | None) -> None:
        self.path = str(url)
        self._bucket: Bucket = open_bucket(url)
        self._key = url.path
        self.state = self._bucket.head(self._key) if state is None else state

    def read(self, start: int, length: int) -> bytes:
        return self._bucket.get_range(self._key, start, length)

    def settle(self) -> int | None:
        is_marked = self.state.inode != 0  # else only its time says that it is another, as that of a file does
        return SETTLED if is_marked else FOREIGN_NS

    def has_changed(self) -> bool:
        return False


_open: OrderedDict[str, OpenTar] = OrderedDict()  # the one that was used last is at the end
_lock = ForkLock()


def open_tar(path: str, state: FileStat | None = None, renew: bool = False) -> OpenTar:
    """Return an open tar, in the state that it has now; raises OSError.

    state: of an object, where a listing has told it. renew: ask for the state of an object again; otherwise the one
    that it was opened with counts, since every question is a request.
    """
    with _lock:
        tar = _open.get(path)
    if is_url(path):
        if tar is None or renew or state not in (None, tar.state):
            tar = _TarObject(parse_url(path, "data"), state)
    elif tar is None or tar.state != FileStat.of(os.stat(path)):
        tar = _TarOnDisk(path)
    with _lock:
        _open[path] = tar
        _open.move_to_end(path)
        while len(_open) > _MOST_OPEN:
            _open.popitem(last=False)
    return tar
