"""One pass over the headers of a tar: which files are in it, and where their bytes are. The bytes are stepped over.

The standard library reads the headers: old ones, ustar, GNU's and PAX's. It was made for archives that are as they
should be, so it is given a window on the bytes that refuses what a hostile header may ask of it, and where it stops
without a word, the place is looked at.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

from featstore.datasets.labels import MISSING, clean_label
from featstore.datasets.manifest import Skipped
from featstore.datasets.tar_contents import Contents
from featstore.errors import DataError
from featstore.system.member_paths import clean_name

_MOST_AT_ONCE = 2**20  # of the window: names and attributes in PAX headers; GNU's and PAX's own files have some kB
_MOST_LABEL = 2**16
_BLOCK = tarfile.BLOCKSIZE
_LOOKED_AFTER = 2**16  # behind the end mark
_COMPRESSED = {
    b"\x1f\x8b": "gzip -dk",
    b"BZh": "bzip2 -dk",
    b"\xfd7zXZ\0": "xz -dk",
    b"\x28\xb5\x2f\xfd": "zstd -dk",
    b"\x04\x22\x4d\x18": "lz4 -dk",
}
_KINDS = {
    tarfile.SYMTYPE: "is a link in the tar, and links in it are not followed",
    tarfile.LNKTYPE: "is a hard link to a file that is not before it in the tar",
    tarfile.CHRTYPE: "is a device, not a file",
    tarfile.BLKTYPE: "is a device, not a file",
    tarfile.FIFOTYPE: "is a pipe, not a file",
}

Read = Callable[[int, int], bytes]  # (start, length) -> bytes, fewer at the end of the tar


class Window:
    """Bytes of a tar for `tarfile`, read in pieces. It has what that module asks of a file.

    size: of the tar. least, most: bytes that are read at once. Where the reading goes on close to where it was, a piece
    is twice as large as the one before.
    """

    def __init__(self, read: Read, size: int, least: int, most: int) -> None:
        self._read, self.size = read, size
        self._least, self._most, self._next = least, most, least
        self._start, self._piece = 0, b""
        self._place = 0

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        if place < 0:
            raise tarfile.ReadError("a header points before the start of the tar")
        self._place = place

    def read(self, length: int) -> bytes:
        if not 0 <= length <= _MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header asks for {length:,} bytes at once")
        data = self.at(self._place, length)
        self._place += len(data)
        return data

    def at(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on, or fewer at the end of the tar."""
        length = max(0, min(length, self.size - start))
        inside = start - self._start
        if not 0 <= inside <= inside + length <= len(self._piece):
            is_near = 0 <= inside <= 2 * max(len(self._piece), self._least)
            self._next = min(2 * self._next, self._most) if is_near else self._least
            self._start = start
            self._piece = self._read(start, min(max(length, self._next), self.size - start)) if length else b""
            inside = 0
        return self._piece[inside : inside + length]


def read_contents(tar: str, window: Window) -> Contents:
    """Return what is in a tar; `tar` is its name, for messages.

    A tar that is cut off or damaged gives what comes before that place. Raises DataError for what is not a tar, and
    OSError if it cannot be read.
    """
    found = Contents()
    _refuse_others(tar, window.at(0, _BLOCK))
    try:
        for header in _headers(window):
            _add(found, tar, header, window)
    except _Damaged as error:
        found.skipped.append(Skipped(tar, f"{error}; the {len(found.files):,} files before it are read"))
        if not found.files:
            raise DataError(f"{tar}: is not a tar, or damaged at its start: make it again") from error
    return found


class _Damaged(Exception):
    """The pass cannot go on. The text says where and why."""


def _refuse_others(tar: str, start: bytes) -> None:
    if not start:
        raise DataError(f"{tar}: is an empty file, not a tar: copy it again")
    for magic, command in _COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"{tar}: is compressed, so no file in it can be read by itself: unpack it once by `{command}`, and "
                "give the tar that comes of it"
            )


def _headers(window: Window) -> Iterator[tarfile.TarInfo]:
    """Yield the headers up to the end mark; raises _Damaged if there is none, after the headers before."""
    file: Any = window
    tar: Any = None  # what is set below is not part of tarfile's types
    end = 0  # of the file before: each header must lie behind it, or the pass would go round in circles
    while True:
        try:
            if tar is None:
                tar = tarfile.TarFile(fileobj=file, mode="r", encoding="utf-8", errors="surrogateescape")
            header = tar.next()
        except OSError:
            raise
        except Exception as error:  # tarfile's own, and a few of Python's by what a header holds
            reason = str(error) if isinstance(error, tarfile.TarError) else type(error).__name__
            raise _Damaged(f"has a damaged header behind byte {end:,} ({reason})") from error
        if header is None:
            break
        if header.size < 0 or tar.offset <= end:
            raise _Damaged(f"has a header behind byte {end:,} with an impossible size")
        end = tar.offset
        tar.members = []  # it would keep them all
        yield header
    _check_end(window, tar.offset)


def _check_end(window: Window, place: int) -> None:
    """Raise _Damaged if what ended the pass is not an end mark: tarfile ends at a damaged header as well."""
    block = window.at(place, _BLOCK)
    if len(block) < _BLOCK:
        raise _Damaged("ends without the mark of its end, so it may be cut off")
    if any(block):
        raise _Damaged(f"has a damaged header at byte {place:,}")
    if any(window.at(place + _BLOCK, _LOOKED_AFTER)):
        raise _Damaged(f"goes on behind the mark of its end at byte {place:,}, like tars put together by `cat`")


def _add(found: Contents, tar: str, header: tarfile.TarInfo, window: Window) -> None:
    if header.isdir():
        return
    name, place = clean_name(header.name), (header.offset_data, header.size)
    target = found.files.get(clean_name(header.linkname)) if header.islnk() else None
    if name and target:  # a second name of the same file, as `cp -l` makes them
        place = target
    elif reason := _reason_against(header, name, window):
        found.skipped.append(Skipped(f"{tar}!{header.name}", reason))
        return
    if name in found.files:
        found.skipped.append(Skipped(f"{tar}!{name}", "is in the tar more than once: the last one counts"))
        found.labels.pop(name, None)
    found.files[name] = place
    if name.lower().endswith((".cls", ".json")):
        try:
            if place[1] <= _MOST_LABEL and (label := _label(name, window.at(*place))):
                found.labels[name] = label
        except ValueError as error:
            found.skipped.append(Skipped(f"{tar}!{name}", f"gives no label: {error}"))


def _reason_against(header: tarfile.TarInfo, name: str, window: Window) -> str:
    if header.issparse():
        return "is stored as a sparse file in the tar: make the tar without --sparse"
    if not header.isreg():
        return _KINDS.get(header.type, "is of a kind that is not read from a tar")
    if not name:
        return "its name leads out of the tar"
    if header.offset_data + header.size > window.size:
        return "the tar ends before the file does: it is cut off"
    return ""


def _label(name: str, raw: bytes) -> str:
    """Return the label in a `.cls` or `.json` file, or nothing; raises ValueError for what cannot be a label."""
    text = raw.decode("utf-8")  # its error is a ValueError
    if name.lower().endswith(".json"):
        try:
            values = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        keys = ("label", "class") if isinstance(values, dict) else ()
        label = next((values[key] for key in keys if values.get(key) is not None), "")
        if isinstance(label, float) and label.is_integer():
            label = int(label)
        if not isinstance(label, str | int):
            raise ValueError("the label in it is neither a text nor a whole number")
        text = str(label)
    text = clean_label(text)
    return "" if text in MISSING else text
