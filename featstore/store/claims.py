"""Claims: which rows other processes are computing now, so that processes that extract at the same time share the work.

Each process has a file of its own under `claims/`: a line that says on which machine it runs, then ids of 34 bytes. It
appends an id to claim a row, and the same id again to release it. A file that grows large is replaced by one with the
claims that stand. It holds a lock on the file and touches it every ten
seconds. A claim is void if its file is unlocked (same machine), or was not touched for a minute by the clock of the
file system (any machine). Claims save work and guarantee nothing: if they cannot be written, or if two processes claim
a row in the same instant, both compute it.

Locks of a library would not do: one file lock for each of a million rows is too many, and a lock alone cannot show
that a process on another machine has died.
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
from weakref import finalize

from featstore.store.layout import CLAIMS
from featstore.store.rowid import SIZE, RowId
from featstore.system.disk import current_disk
from featstore.system.files import make_folders

BEAT_SECONDS = 10.0
DEAD_SECONDS = 60.0
_LIST_SECONDS = 0.02  # between two listings of the processes; what they have claimed is read each time
_LONGEST_HEADER = 1000  # bytes
_LARGE = 2**20  # bytes of a file: 15,000 rows, claimed and released


class Claims:
    """The claims on the rows of one key. Threads may share it. Errors of the disk are never raised."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CLAIMS
        self._lock = threading.Lock()
        self._mine: set[RowId] = set()
        self._own: _OwnFile | None = None
        self._failed = False  # set after a failed write; cleared by release_all()
        self._others: dict[str, _OtherFile] = {}
        self._listed_at = -_LIST_SECONDS

    def claim(self, row: RowId) -> bool:
        """Claim a row; return False if a living process has claimed it."""
        with self._lock:
            if row in self._mine:
                return True
            self._append(())  # before the look at the others: of two that begin at once, at least one sees the other
            if self._is_claimed(row):
                return False
            self._mine.add(row)
            self._append([row])
            return True

    def is_free(self, row: RowId) -> bool:
        """Whether `claim` would succeed now."""
        with self._lock:
            return row in self._mine or not self._is_claimed(row)

    def release(self, rows: Iterable[RowId]) -> None:
        """Release the claims on `rows`: they are stored, or never will be. Rows that were not claimed are ignored."""
        with self._lock:
            released = self._mine.intersection(rows)
            self._mine -= released
            if released and self._own is not None:
                self._append(released)
                self._renew()

    def release_all(self) -> None:
        """Release all claims: the rows are stored, or never will be."""
        with self._lock:
            self._mine.clear()
            self._failed = False
            self._close_own()

    def close(self) -> None:
        """Release all claims; nothing more is claimed."""
        self.release_all()

    def _is_claimed(self, row: RowId) -> bool:
        self._list()
        return any(other.claims(row) for other in self._others.values())

    def _append(self, rows: Collection[RowId]) -> None:
        """Append `rows` to the own file. After a failure nothing more is tried: each attempt would cost time."""
        if self._failed:
            return
        try:
            if self._own is None:
                self._own, rows = _OwnFile(self._folder), self._mine
            self._own.append(b"".join(rows))
        except (OSError, RuntimeError):  # RuntimeError: no more threads
            self._failed = True
            self._close_own()

    def _renew(self) -> None:
        """Go on with a new file if the own one is large. It is removed last, so that no claim is missing meanwhile."""
        if self._own is not None and self._own.size > _LARGE:
            large, self._own = self._own, None
            self._append(())
            large.close()

    def _close_own(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _list(self) -> None:
        """List the other processes, and check which of them are alive."""
        if time.monotonic() - self._listed_at < _LIST_SECONDS:
            return
        self._listed_at = time.monotonic()
        names: set[str] = set()
        with suppress(OSError):
            names = set(os.listdir(self._folder))
        for name in self._others.keys() - names:
            self._others.pop(name).close()
        if self._own is not None:
            if self._own.path.name in names:
                names.remove(self._own.path.name)
            else:  # it was removed: the next claim writes another one
                self._close_own()
        for name in names - self._others.keys():
            with suppress(OSError):
                self._others[name] = _OtherFile(self._folder / name)
        if self._others:
            now = self._now()
            for other in self._others.values():
                other.check(now)

    def _now(self) -> float:
        """Return the time by the clock of the file system, or of this machine if this process has no file."""
        if self._own is not None:
            with suppress(OSError):
                return self._own.now()
        return time.time()


class _OwnFile:
    """The claims of this process, with its signs of life. The file is removed with the last reference to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        self.size = 0
        stopped = threading.Event()
        self._descriptor = _create(self.path)
        self.close = finalize(self, _close, self.path, self._descriptor, stopped, os.getpid())
        try:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(json.dumps({"machine": machine()}).encode() + b"\n")
            beat = threading.Thread(target=_beat, args=(self.path, stopped), name="featstore-claims", daemon=True)
            beat.start()
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Append bytes; raises OSError."""
        rest = memoryview(data)
        self.size += len(data)
        while rest:
            rest = rest[current_disk().write(self._descriptor, rest) :]

    def now(self) -> float:
        """Return the time by the clock of the file system; raises OSError if the file is gone."""
        current_disk().touch(self.path)
        return self.path.stat().st_mtime


def _close(path: Path, descriptor: int, stopped: threading.Event, owner: int) -> None:
    """Remove the file of claims, unless this is a forked process: the file is its parent's."""
    stopped.set()
    if os.getpid() == owner:
        with suppress(OSError):
            current_disk().remove(path)
    with suppress(OSError):
        current_disk().close(descriptor)
    with suppress(OSError):  # others have files there
        current_disk().remove_folder(path.parent)


def _create(path: Path) -> int:
    """Return a descriptor of a new file."""
    for _ in range(3):
        make_folders(path.parent)
        with suppress(FileNotFoundError):  # the last process to leave has just removed the folder
            return current_disk().create(path)
    raise FileNotFoundError(path)


def _beat(path: Path, stopped: threading.Event) -> None:
    """Touch the file until it is closed. The thread has no reference to the object, and stops when it is collected."""
    while not stopped.wait(BEAT_SECONDS):
        with suppress(OSError):
            current_disk().touch(path)


class _OtherFile:
    """The claims of another process, read as they grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
        self.close = finalize(self, os.close, self._descriptor)
        self._rows: set[RowId] = set()
        self._machine: str | None = None
        self._is_alive = False
        self._rest = b""
        self._read = 0

    def check(self, now: float) -> None:
        """Check whether the process is alive; `now` is the time by the clock of the file system."""
        self._catch_up()  # first, since it tells the machine
        try:
            info = os.fstat(self._descriptor)
            self._is_alive = info.st_nlink > 0 and now - info.st_mtime <= DEAD_SECONDS
            if self._is_alive and self._machine == machine() and not is_locked(self._descriptor):
                self._is_alive = False
                current_disk().remove(self._path)
        except OSError:
            self._is_alive = False

    def claims(self, row: RowId) -> bool:
        """Whether the process claims the row, and was alive at the last check."""
        if self._is_alive:
            self._catch_up()
        return self._is_alive and row in self._rows

    def _catch_up(self) -> None:
        with suppress(OSError):
            while new := os.pread(self._descriptor, 2**16, self._read):
                self._read += len(new)
                self._parse(self._rest + new)

    def _parse(self, data: bytes) -> None:
        if self._machine is None:
            line, end, after = data.partition(b"\n")
            if not end and len(data) < _LONGEST_HEADER:
                self._rest = data
                return
            self._machine, data = _parse_machine(line), after
        whole = len(data) // SIZE * SIZE
        for start in range(0, whole, SIZE):
            self._rows ^= {data[start : start + SIZE]}
        self._rest = data[whole:]


def is_locked(descriptor: int) -> bool:
    """Whether another process holds a lock on the file; True if the file system does not say."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    return False


@cache
def machine() -> str:
    """Return an id that processes share if they can see each other's locks: that of one boot of one system."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.uname().nodename


def _parse_machine(line: bytes) -> str:
    try:
        return str(json.loads(line)["machine"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
