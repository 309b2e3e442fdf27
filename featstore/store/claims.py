"""Claims: which rows other processes are computing now, so that two that extract at once share the work.

Each process has a file of its own under `claims/`: a line that says on which machine it runs, then the ids that it has
claimed, 34 bytes each, appended as it goes. It holds a lock on the file, and touches it every ten seconds. A claim is
void when its file is unlocked (same machine) or was not touched for a minute by the file system's clock (any machine).
Claims save work and prove nothing: if they fail, or two processes claim a row in the same instant, both compute it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from featstore.disk import disk
from featstore.files import make_folders
from featstore.store.names import CLAIMS
from featstore.store.rowid import SIZE, RowId

BEAT_SECONDS = 10.0
DEAD_SECONDS = 60.0
_LOOK_SECONDS = 0.1  # between looks for other processes; what the known ones claim is read each time


class Claims:
    """The claims on the rows of one key; threads may share it. No method raises an OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CLAIMS
        self._lock = threading.Lock()
        self._mine: set[RowId] = set()
        self._own: _OwnFile | None = None
        self._others: dict[str, _OtherFile] = {}
        self._looked = -_LOOK_SECONDS

    def take(self, row: RowId) -> bool:
        """Claim a row; False if a process that is alive has claimed it."""
        with self._lock:
            if row in self._mine:
                return True
            if any(other.has(row, self._own) for other in self._look()):
                return False
            self._mine.add(row)
            with suppress(OSError):
                if self._own is None:
                    self._own = _OwnFile(self._folder)
                self._own.append(row)
            return True

    def withdraw(self) -> None:
        """Give up all claims: the rows are stored, or never will be."""
        with self._lock:
            self._mine.clear()
            if self._own is not None:
                self._own.close()
                self._own = None

    def _look(self) -> list[_OtherFile]:
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            try:
                names = set(os.listdir(self._folder))
            except OSError:
                names = set()
            for name in self._others.keys() - names:
                self._others.pop(name).close()
            for name in names - self._others.keys() - {self._own.path.name if self._own else ""}:
                with suppress(OSError):
                    self._others[name] = _OtherFile(self._folder / name)
        return list(self._others.values())


class _OwnFile:
    """The claims of this process, with its signs of life."""

    def __init__(self, folder: Path) -> None:
        with suppress(Exception):
            make_folders(folder)
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        self._descriptor = disk().create(self.path)
        self._stopped = threading.Event()
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        disk().write(self._descriptor, memoryview(json.dumps({"machine": machine()}).encode() + b"\n"))
        threading.Thread(target=self._beat, name="featstore-claims", daemon=True).start()

    def append(self, row: RowId) -> None:
        disk().write(self._descriptor, memoryview(row))

    def close(self) -> None:
        self._stopped.set()
        with suppress(OSError):
            disk().remove(self.path)
        with suppress(OSError):
            disk().close(self._descriptor)
        with suppress(OSError):  # others are in it
            disk().remove_folder(self.path.parent)

    def now(self) -> float:
        """The time by the file system's clock."""
        with suppress(OSError):
            disk().touch(self.path)
        return self.path.stat().st_mtime

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            with suppress(OSError):
                disk().touch(self.path)


class _OtherFile:
    """The claims of another process, read as they grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
        self._rows: set[RowId] = set()
        self._machine: str | None = None
        self._rest = b""
        self._read = 0

    def has(self, row: RowId, own: _OwnFile | None) -> bool:
        """Whether it claims the row, and is alive."""
        self._catch_up()
        return row in self._rows and self._is_alive(own)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _catch_up(self) -> None:
        with suppress(OSError):
            while new := os.pread(self._descriptor, 2**16, self._read):
                self._read += len(new)
                self._take_in(self._rest + new)

    def _take_in(self, data: bytes) -> None:
        if self._machine is None:
            line, end, data = data.partition(b"\n")
            if not end:
                self._rest = line
                return
            self._machine = _machine_of(line)
        whole = len(data) // SIZE * SIZE
        self._rows.update(data[start : start + SIZE] for start in range(0, whole, SIZE))
        self._rest = data[whole:]

    def _is_alive(self, own: _OwnFile | None) -> bool:
        try:
            now = own.now() if own else time.time()
            if now - os.fstat(self._descriptor).st_mtime > DEAD_SECONDS:
                return False
            if self._machine == machine() and not is_locked(self._descriptor):
                disk().remove(self._path)
                return False
            return os.fstat(self._descriptor).st_nlink > 0
        except OSError:
            return False

    __del__ = close


def is_locked(descriptor: int) -> bool:
    """Whether another process holds a lock on the file; True where that cannot be told."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    return False


def machine() -> str:
    """What is the same for processes whose locks can be seen: one start of one system."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _machine_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["machine"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
