"""Claims: which rows other processes are computing now, so that two that extract at once share the work.

Each process has a file of its own under `claims/`: a line that says on which machine it runs, then ids of 34 bytes,
appended as it goes; one that comes again is given up. It holds a lock on the file, and touches it every ten seconds. A
claim is void when its file is unlocked (same machine) or was not touched for a minute by the file system's clock (any
machine). Claims save work and prove nothing: where they cannot be written, or two processes claim a row in the same
instant, both compute it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from featstore.store.layout import CLAIMS
from featstore.store.rowid import SIZE, RowId
from featstore.system.disk import disk
from featstore.system.files import make_folders

BEAT_SECONDS = 10.0
DEAD_SECONDS = 60.0
_LOOK_SECONDS = 0.02  # between looks for who is there and alive; what those have claimed is read each time
_LONGEST_HEADER = 1000  # bytes


class Claims:
    """The claims on the rows of one key; threads may share it. Nothing that fails on the disk is raised."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CLAIMS
        self._lock = threading.Lock()
        self._mine: set[RowId] = set()
        self._own: _OwnFile | None = None
        self._silent = False  # since there was no writing
        self._others: dict[str, _OtherFile] = {}
        self._looked = -_LOOK_SECONDS

    def take(self, row: RowId) -> bool:
        """Claim a row; False if a process that is alive has claimed it."""
        with self._lock:
            if row in self._mine:
                return True
            self._tell(())  # before looking: of two that begin in the same instant, at least one sees the other
            if self._is_taken(row):
                return False
            self._mine.add(row)
            self._tell([row])
            return True

    def is_free(self, row: RowId) -> bool:
        """Whether `take` would be granted now."""
        with self._lock:
            return row in self._mine or not self._is_taken(row)

    def give_up(self, rows: Iterable[RowId]) -> None:
        """Give up the claims on `rows`, which never will be stored; those that were not claimed are passed over."""
        with self._lock:
            given_up = self._mine.intersection(rows)
            self._mine -= given_up
            if given_up and self._own is not None:
                self._tell(given_up)

    def withdraw(self) -> None:
        """Give up all claims: the rows are stored, or never will be."""
        with self._lock:
            self._mine.clear()
            self._silent = False
            self._drop_own()

    def _is_taken(self, row: RowId) -> bool:
        self._look()
        return any(other.has(row) for other in self._others.values())

    def _tell(self, rows: Collection[RowId]) -> None:
        """Append `rows` to the own file. Whoever cannot is silent from then on: to try each time would cost time."""
        if self._silent:
            return
        try:
            if self._own is None:
                self._own, rows = _OwnFile(self._folder), self._mine
            self._own.append(b"".join(rows))
        except (OSError, RuntimeError):  # RuntimeError: no more threads
            self._silent = True
            self._drop_own()

    def _drop_own(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _look(self) -> None:
        """See who is there, and who of them is alive."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        names: set[str] = set()
        with suppress(OSError):
            names = set(os.listdir(self._folder))
        for name in self._others.keys() - names:
            self._others.pop(name).close()
        if self._own is not None:
            if self._own.path.name in names:
                names.remove(self._own.path.name)
            else:  # somebody removed it: another one takes its place at the next claim
                self._drop_own()
        for name in names - self._others.keys():
            with suppress(OSError):
                self._others[name] = _OtherFile(self._folder / name)
        if self._others:
            now = self._now()
            for other in self._others.values():
                other.look(now)

    def _now(self) -> float:
        """The time by the file system's clock, or by this machine's where there is no file to set it on."""
        if self._own is not None:
            with suppress(OSError):
                return self._own.now()
        return time.time()


class _OwnFile:
    """The claims of this process, with its signs of life; it goes with the last reference to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        self._stopped = threading.Event()
        self._descriptor = -1
        self._descriptor = _create(self.path)
        try:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(json.dumps({"machine": machine()}).encode() + b"\n")
            beat = threading.Thread(target=_beat, args=(self.path, self._stopped), name="featstore-claims", daemon=True)
            beat.start()
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[disk().write(self._descriptor, rest) :]

    def close(self) -> None:
        self._stopped.set()
        if self._descriptor < 0:
            return
        with suppress(OSError):
            disk().remove(self.path)
        with suppress(OSError):
            disk().close(self._descriptor)
        self._descriptor = -1
        with suppress(OSError):  # others are in it
            disk().remove_folder(self.path.parent)

    def now(self) -> float:
        """The time by the file system's clock; raises OSError if the file is gone."""
        disk().touch(self.path)
        return self.path.stat().st_mtime

    __del__ = close


def _create(path: Path) -> int:
    """A descriptor of a new file."""
    for _ in range(3):
        make_folders(path.parent)
        with suppress(FileNotFoundError):  # whoever was the last in the folder has just removed it
            return disk().create(path)
    raise FileNotFoundError(path)


def _beat(path: Path, stopped: threading.Event) -> None:
    """Touch the file until it is closed. The thread holds no reference to it: who drops it without a word ends it."""
    while not stopped.wait(BEAT_SECONDS):
        with suppress(OSError):
            disk().touch(path)


class _OtherFile:
    """The claims of another process, read as they grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
        self._rows: set[RowId] = set()
        self._machine: str | None = None
        self._is_alive = False
        self._rest = b""
        self._read = 0

    def look(self, now: float) -> None:
        """See whether it is alive; `now` is the time by the file system's clock."""
        self._catch_up()  # on which machine it runs comes first
        try:
            info = os.fstat(self._descriptor)
            self._is_alive = info.st_nlink > 0 and now - info.st_mtime <= DEAD_SECONDS
            if self._is_alive and self._machine == machine() and not is_locked(self._descriptor):
                self._is_alive = False
                disk().remove(self._path)
        except OSError:
            self._is_alive = False

    def has(self, row: RowId) -> bool:
        """Whether it claims the row, and was alive at the last look."""
        if self._is_alive:
            self._catch_up()
        return self._is_alive and row in self._rows

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
            line, end, after = data.partition(b"\n")
            if not end and len(data) < _LONGEST_HEADER:
                self._rest = data
                return
            self._machine, data = _machine_of(line), after
        whole = len(data) // SIZE * SIZE
        for start in range(0, whole, SIZE):
            self._rows ^= {data[start : start + SIZE]}
        self._rest = data[whole:]

    __del__ = close


def is_locked(descriptor: int) -> bool:
    """Whether another process holds a lock on the file; True where that cannot be told."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    return False


@cache
def machine() -> str:
    """What is the same for processes whose locks can be seen: one start of one system."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.uname().nodename


def _machine_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["machine"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
