"""Tars that are open: bytes at a place, on a disk or on object storage. Threads share them."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Protocol

from featstore.objects.bucket import Bucket, ObjectError
from featstore.objects.opening import open_bucket
from featstore.objects.state import SETTLED
from featstore.objects.urls import Url, parse_url
from featstore.system.files import FileStat, open_regular
from featstore.system.fork_lock import ForkLock
from featstore.system.paths import is_url
from featstore.system.stamps import FOREIGN_NS, settle

_MOST_OPEN = 64  # descriptors
_PIECE = (8 * 2**10, 8 * 2**10)  # the headers of a sample of one picture and two small files
_REQUEST = (2**20, 2**23)  # many small files come with their headers, and large ones are stepped over


class Changed(OSError):
    """A tar that is another one than when it was opened."""

    def __init__(self) -> None:
        super().__init__(None, "changed while it was read")


class OpenTar(Protocol):
    """A tar that is open.

    path: as it was named. state: when it was opened. pieces: the least and the most bytes to read at once in a pass.
    """

    path: str
    state: FileStat
    pieces: tuple[int, int]

    def read(self, start: int, length: int) -> bytes:
        """Return some bytes, or fewer at the end of the tar; raises OSError, Changed among them."""

    def settle(self) -> int | None:
        """Return the grain of its stamps, as `stamps.settle` does."""


class _TarOnDisk:
    """A tar on a disk. Its descriptor is closed when nobody holds the object any more."""

    pieces = _PIECE

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
        if FileStat.of(os.fstat(self._descriptor)) != self.state:
            raise Changed
        return data

    def settle(self) -> int | None:
        return settle(self._descriptor)


class _TarObject:
    """A tar on object storage. It cannot change in place, and each answer says of which object its bytes are."""

    pieces = _REQUEST

    def __init__(self, url: Url) -> None:
        self.path = str(url)
        self._bucket: Bucket = open_bucket(url)
        self._key = url.path
        self.state = self._bucket.head(self._key)

    def read(self, start: int, length: int) -> bytes:
        try:
            data, state = self._bucket.get_range(self._key, start, length)
        except ObjectError:  # such as of a range that a shorter object does not have
            data, state = b"", self._bucket.head(self._key)
            if state == self.state:
                raise
        if state != self.state:
            raise Changed
        if len(data) != (expected := max(0, min(length, state.size - start))):
            raise ObjectError(f"{len(data)} bytes came of {expected}")
        return data

    def settle(self) -> int | None:
        is_marked = self.state.inode != 0  # else only its time says that it is another, as that of a file does
        return SETTLED if is_marked else FOREIGN_NS


_on_disk: OrderedDict[str, _TarOnDisk] = OrderedDict()  # the one that was used last is at the end
_objects: dict[str, _TarObject] = {}  # they hold nothing of the system
_lock = ForkLock()


def open_tar(path: str, renew: bool = False) -> OpenTar:
    """Return an open tar; raises OSError.

    One on disk is in the state that it has now. renew: ask for the state of an object again; otherwise the one that it
    was opened with counts, since every question is a request.
    """
    return _open_object(path, renew) if is_url(path) else _open_on_disk(path)


def _open_object(url: str, renew: bool) -> _TarObject:
    with _lock:
        tar = _objects.get(url)
    if tar is None or renew:
        tar = _TarObject(parse_url(url, "data"))
        with _lock:
            _objects[url] = tar
    return tar


def _open_on_disk(path: str) -> _TarOnDisk:
    state = FileStat.of(os.stat(path))
    with _lock:
        tar = _on_disk.pop(path, None)
        if tar is not None and tar.state == state:
            _on_disk[path] = tar  # at the end
            return tar
    tar = _TarOnDisk(path)
    with _lock:
        _on_disk[path] = tar
        while len(_on_disk) > _MOST_OPEN:
            _on_disk.popitem(last=False)
    return tar
