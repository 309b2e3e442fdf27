"""Content digests of image files, remembered so that a re-run reads no image bytes.

One small file per folder of images keeps name -> (stat, SHA-256). The stat holds the change time beside size, mtime and
inode, since a program can set an mtime back but not a ctime. What was changed within two seconds of being read is not
remembered (git's racy rule): a second change could hide in the clock's granularity. The time that counts is when the
digest was asked for in vain, just before the bytes are read: `remember` may follow many seconds later.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from featstore.errors import StoreError
from featstore.files import write_whole
from featstore.images.manifest import FileStat

RACY_NS = 2_000_000_000
_FORMAT = 1


class DigestMemory:
    """A mapping from (path, stat) to digest below one folder of the cache; losing it costs only time."""

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._clock = clock
        self._loaded: dict[str, dict[str, list[int | str]]] = {}
        self._asked: dict[str, int] = {}
        self._changed: set[str] = set()

    def get(self, path: str, stat: FileStat) -> str | None:
        """The digest (hex) of the file at `path` if it is known for exactly this state of the file."""
        parent, _, name = path.rpartition(os.sep)
        entry = self._entries(parent).get(name)
        if entry is None or (*stat,) != (entry[0], entry[1], entry[2], entry[3]):
            self._asked[path] = self._clock()
            return None
        return str(entry[4])

    def remember(self, path: str, stat: FileStat, digest: str) -> None:
        """`stat` must have been taken before the bytes were read."""
        if max(stat.mtime_ns, stat.ctime_ns) + RACY_NS > self._asked.pop(path, self._clock()):
            return
        parent, _, name = path.rpartition(os.sep)
        self._entries(parent)[name] = [*stat, digest]
        self._changed.add(parent)

    def save(self) -> None:
        """Keep what is new. A cache that cannot be written is no error here: nothing but time is lost."""
        for parent in self._changed:
            content = {"format": _FORMAT, "folder": os.path.abspath(parent), "files": self._loaded[parent]}
            text = json.dumps(content).encode()
            try:
                write_whole(self._file(parent), hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
            except StoreError:
                return
        self._changed.clear()

    def _entries(self, parent: str) -> dict[str, list[int | str]]:
        if parent not in self._loaded:
            self._loaded[parent] = self._load(parent)
        return self._loaded[parent]

    def _load(self, parent: str) -> dict[str, list[int | str]]:
        try:
            check, _, text = self._file(parent).read_bytes().partition(b"\n")
        except OSError:
            return {}
        if hashlib.sha256(text).hexdigest().encode() != check:
            return {}  # torn or damaged: the files are read again
        kept = json.loads(text)
        known = kept.get("format") == _FORMAT and kept["folder"] == os.path.abspath(parent)
        return dict(kept["files"]) if known else {}

    def _file(self, parent: str) -> Path:
        name = hashlib.sha256(os.fsencode(os.path.abspath(parent))).hexdigest()[:32]
        return self._folder / f"{name}.json"
