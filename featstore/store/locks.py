"""The file `used` of a key: its time tells when the key was last used, and its lock who is working on the key.

Writers share the lock. Prune, compaction and repair, which remove files, hold it alone and never wait. Locks are
flocks: the system drops them when a process dies. On a file system without locks, writers work without them, since
they never harm each other, and nothing is removed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import finalize

from featstore.errors import StoreError
from featstore.store.layout import SPEC, USED
from featstore.system.disk import current_disk
from featstore.system.files import NOT_SUPPORTED


class SharedLock:
    """A writer's lock on the folder of a key, from `acquire` to `release`. It is released with its last reference."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / USED
        self._close: Callable[[], object] | None = None

    def acquire(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until no process holds the folder alone; `on_wait` is called once if it has to wait.

        Does nothing if the lock is held already, if the folder cannot be locked, or if it does not exist yet.
        """
        if self._close is not None:
            return
        with suppress(OSError):  # read permission suffices for a shared lock: the file may be a colleague's
            try:
                descriptor = _lock(self._path, os.O_RDONLY, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                descriptor = _lock(self._path, os.O_RDONLY, fcntl.LOCK_SH)
            self._close = finalize(self, os.close, descriptor)

    def release(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a key alone; raises StoreError if it is in use or cannot be locked."""
    try:
        descriptor = _lock(folder / USED, os.O_RDWR, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreError(f"{folder}: {_why_not(error)}; nothing was changed") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _why_not(error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return "in use by another process: try again later"
    if isinstance(error, FileNotFoundError):
        return "it was pruned meanwhile"
    if error.errno in NOT_SUPPORTED:
        return (
            "the file system has no locks, so another process may be using it unnoticed: do this on a copy on a local "
            "disk, or remove the folder by hand"
        )
    return f"cannot be locked: {error.strerror}: you need write permission there"


def mark_used(folder: Path) -> None:
    """Note that the key is used now. A cache that cannot be written has no such notes."""
    with suppress(OSError):
        try:
            current_disk().touch(folder / USED)
        except FileNotFoundError:
            if (folder / SPEC).exists():  # else it is being pruned
                os.close(_open(folder / USED))


def last_used(folder: Path) -> float:
    """Return when the key was last used, in seconds since the epoch."""
    try:
        return (folder / USED).stat().st_mtime
    except OSError:
        return folder.stat().st_mtime


def _lock(path: Path, access: int, operation: int) -> int:
    """Return a descriptor of the file with a lock on it. A missing file is made. Raises OSError."""
    while True:
        descriptor = _open(path, access)
        try:
            fcntl.flock(descriptor, operation)
            if _is_at(path, descriptor):  # else the key was pruned meanwhile: the lock is on a removed file
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _open(path: Path, access: int = os.O_RDWR) -> int:
    """Return a descriptor of the file. A new one is group-writable like its folder, so that colleagues can lock it."""
    flags = access | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(path.parent.stat().st_mode) & 0o666)
        return descriptor
