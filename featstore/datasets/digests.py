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
from collections.abc import Callable, Collection
from pathlib import Path

from featstore.errors import StoreError
from featstore.system.files import FileStat, read_regular, write_whole

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

    def last_known(self, path: str) -> str | None:
        """The digest (hex) that was last remembered for the file at `path`, whatever has become of the file since."""
        parent, _, name = path.rpartition(os.sep)
        entry = self._entries(parent).get(name)
        return None if entry is None else str(entry[4])

    def paths(self, digests: Collection[str]) -> dict[str, str]:
        """Where images with these digests (hex) were last seen, as far as that is remembered."""
        found: dict[str, str] = {}
        for file in sorted(self._folder.glob("*.json")):
            folder, files = _read(file)
            found |= {str(entry[4]): os.path.join(folder, name) for name, entry in files.items() if entry[4] in digests}
        return found

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
        folder, files = _read(self._file(parent))
        return files if folder == os.path.abspath(parent) else {}

    def _file(self, parent: str) -> Path:
        name = hashlib.sha256(os.fsencode(os.path.abspath(parent))).hexdigest()[:32]
        return self._folder / f"{name}.json"


def _read(file: Path) -> tuple[str, dict[str, list[int | str]]]:
    """(folder, entries by name) of one file of the memory; nothing where it is damaged: the images are read again."""
    try:
        data, _ = read_regular(file)
    except OSError:
        return "", {}
    check, _, text = data.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != check:
        return "", {}
    try:
        kept = json.loads(text)
        if kept["format"] != _FORMAT:
            return "", {}
        return str(kept["folder"]), {name: entry for name, entry in kept["files"].items() if _is_entry(entry)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", {}  # the check sum is no seal: anybody who may write here can make one


def _is_entry(entry: object) -> bool:
    """Whether `entry` is a stat and a digest, as `remember` keeps them."""
    if not isinstance(entry, list) or len(entry) != 5 or not isinstance(entry[4], str):
        return False
    return len(entry[4]) == 64 and not entry[4].strip("0123456789abcdef")
