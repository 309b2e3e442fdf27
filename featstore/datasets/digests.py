"""Content digests of image files, remembered so that a re-run reads no image bytes.

One small file for each folder or tar of images maps name -> (stat, SHA-256). The stat has the change time as well as
size, mtime and inode, since a program can set an mtime back but not a ctime. A file that changed within the grain of
its clock before it was read is not remembered (git's racy rule): a second change could have the same stamps. `stamps`
says what the grain is, and of which files nothing is remembered. The time that counts is that of the unsuccessful
look-up before the bytes are read; `remember` may follow much later.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from featstore.errors import StoreError
from featstore.objects.urls import absolute
from featstore.system.files import FileStat, read_regular, write_whole
from featstore.system.fork_lock import ForkLock
from featstore.system.member_paths import join_path, split_path

_FORMAT = 3  # 2: dirty pages were written back before the bytes were read. 3: `identity.content_digest`


class DigestMemory:
    """A mapping from (path, stat) to digest in one folder of the cache. Losing it costs only time.

    Threads may share it.

    folder: where its files are.
    clock: returns the time in ns since the epoch.
    rehash: return no digest that this object has not been told itself.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns, rehash: bool = False) -> None:
        self.folder = folder
        self._clock = clock
        self._renewed: set[str] | None = set() if rehash else None  # paths; None: all digests count
        self._loaded: dict[str, dict[str, list[int | str]]] = {}
        self._states: dict[str, FileStat | None] = {}  # of the files as they were loaded or saved
        self._missed: dict[str, int] = {}  # when each path was first looked up and not found
        self._changed: dict[str, set[str]] = {}  # names of files by folder
        self._lock = ForkLock()

    def get(self, path: str, stat: FileStat) -> str | None:
        """Return the digest (hex) of the file at `path` if it is known for exactly this state of the file."""
        return self.get_all([(path, stat)])[0]

    def get_all(self, files: Iterable[tuple[str, FileStat]]) -> list[str | None]:
        """Return what `get` returns for each (path, stat), in a third of the time."""
        with self._lock:
            return [self._get(path, stat) for path, stat in files]

    def _get(self, path: str, stat: FileStat) -> str | None:
        parent, name = split_path(path)
        entry = self._entries(parent).get(name)
        if entry is not None and entry == [*stat, entry[4]] and (self._renewed is None or path in self._renewed):
            return str(entry[4])
        # Of two threads that read the same file, the earlier time is on the safe side.
        self._missed.setdefault(path, self._clock())
        return None

    def last_known(self, path: str) -> str | None:
        """Return the digest (hex) that was last remembered for `path`, whether the file has changed since or not."""
        parent, name = split_path(path)
        with self._lock:
            entry = self._entries(parent).get(name)
            return None if entry is None else str(entry[4])

    def paths(self, digests: Collection[str]) -> dict[str, str]:
        """Return the last known path of each image with one of these digests (hex), if there is one."""
        found: dict[str, str] = {}
        for file in sorted(self.folder.glob("*.json")):
            folder, files, _ = _read(file)
            found |= {str(entry[4]): join_path(folder, name) for name, entry in files.items() if entry[4] in digests}
        return found

    def remember(self, path: str, stat: FileStat, digest: str, grain: int | None) -> None:
        """Remember the digest (hex) of a file that was looked up before its bytes were read; else nothing.

        stat: taken before the bytes were read, and the same afterwards. grain: of its stamps, from `stamps.settle`
        before that. Nothing is remembered if a later change might not show in them.
        """
        parent, name = split_path(path)
        with self._lock:
            looked_up = self._missed.pop(path, None)
            if grain is None or looked_up is None or max(stat.mtime_ns, stat.ctime_ns) + grain > looked_up:
                return
            self._entries(parent)[name] = [*stat, digest]
            self._changed.setdefault(parent, set()).add(name)
            if self._renewed is not None:
                self._renewed.add(path)

    def refresh(self) -> None:
        """Drop the folders that other processes have saved again, so that they are loaded again when needed.

        Folders with unsaved changes stay.
        """
        with self._lock:
            for parent in self._loaded.keys() - self._changed.keys():
                if _state(self._file(parent)) != self._states[parent]:
                    del self._loaded[parent]

    def save(self) -> None:
        """Save the new digests, next to those that other processes have saved meanwhile.

        A cache that cannot be written is not an error: only time is lost.
        """
        with self._lock:
            for parent, names in self._changed.items():
                if _state(self._file(parent)) != self._states[parent]:
                    self._loaded[parent] = self._load(parent) | {name: self._loaded[parent][name] for name in names}
                content = {"format": _FORMAT, "folder": absolute(parent), "files": self._loaded[parent]}
                text = json.dumps(content).encode()
                try:
                    data = hashlib.sha256(text).hexdigest().encode() + b"\n" + text
                    self._states[parent] = write_whole(self._file(parent), data)
                except StoreError:
                    return
            self._changed.clear()

    def _entries(self, parent: str) -> dict[str, list[int | str]]:
        if parent not in self._loaded:
            self._loaded[parent] = self._load(parent)
        return self._loaded[parent]

    def _load(self, parent: str) -> dict[str, list[int | str]]:
        folder, files, self._states[parent] = _read(self._file(parent))
        return files if folder == absolute(parent) else {}

    def _file(self, parent: str) -> Path:
        name = hashlib.sha256(os.fsencode(absolute(parent))).hexdigest()[:32]
        return self.folder / f"{name}.json"


def _state(file: Path) -> FileStat | None:
    try:
        return FileStat.of(os.stat(file))
    except OSError:
        return None


def _read(file: Path) -> tuple[str, dict[str, list[int | str]], FileStat | None]:
    """Return (folder, entries by name, state) of one file of the memory; no entries if it is damaged."""
    try:
        data, state = read_regular(file)
    except OSError:
        return "", {}, None
    check, _, text = data.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != check:
        return "", {}, state
    try:
        kept = json.loads(text)
        if kept["format"] != _FORMAT:
            return "", {}, state
        return str(kept["folder"]), {name: entry for name, entry in kept["files"].items() if _is_entry(entry)}, state
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", {}, state  # the check sum is not a signature: anyone who may write here can make one


def _is_entry(entry: object) -> bool:
    """Whether `entry` is a stat and a digest, as `remember` keeps them."""
    if not isinstance(entry, list) or len(entry) != 5 or not isinstance(entry[4], str):
        return False
    return len(entry[4]) == 64 and not entry[4].strip("0123456789abcdef")
