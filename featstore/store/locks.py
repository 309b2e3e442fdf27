"""The file `used` of a key: its time says when the key was last used, its lock who works on it at the moment.

Writers share the lock. Whoever removes files (prune, compaction, repair) has it alone, and waits for nobody. Locks are
flocks: the system drops them when a process dies. Where a file system has none, writers go on without, since they never
harm each other, and nothing is removed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featstore.errors import StoreError
from featstore.store.layout import SPEC, USED
from featstore.system.disk import disk
from featstore.system.files import NOT_SUPPORTED


class Usage:
    """A share in the use of a key's folder, held from `begin` to `end`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / USED
        self._descriptor: int | None = None

    def begin(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until nobody has the folder alone; `on_wait` is called if that is not at once.

        Nothing happens where the folder cannot be locked or is not there yet.
        """
        if self._descriptor is not None:
            return
        with suppress(OSError):  # to share, leave to read is enough: the file may be a colleague's
            try:
                self._descriptor = _lock(self._path, os.O_RDONLY, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                self._descriptor = _lock(self._path, os.O_RDONLY, fcntl.LOCK_SH)

    def end(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.end()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have the folder of a key for oneself; raises StoreError if somebody uses it, or if it cannot be locked."""
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
            "the file system has no locks, so it cannot be told whether another process uses it: do this on a copy on "
            "a local disk, or remove the folder by hand"
        )
    return f"cannot be locked: {error.strerror}: you need to be allowed to write there"


def mark_used(folder: Path) -> None:
    """Note that the key is used now; a cache that cannot be written has no such notes."""
    with suppress(OSError):
        try:
            disk().touch(folder / USED)
        except FileNotFoundError:
            if (folder / SPEC).exists():  # else it is being pruned
                os.close(_open(folder / USED))


def last_used(folder: Path) -> float:
    """Seconds since the epoch."""
    try:
        return (folder / USED).stat().st_mtime
    except OSError:
        return folder.stat().st_mtime


def _lock(path: Path, access: int, operation: int) -> int:
    """A descriptor of the file, which is made if it is missing, with a lock on it; raises OSError."""
    while True:
        descriptor = _open(path, access)
        try:
            fcntl.flock(descriptor, operation)
            if _is_at(path, descriptor):  # else the key was pruned since, and the lock is on a file that is gone
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
    """A descriptor of the file; a new one may be written by whoever may write into the folder: uses are a team's."""
    flags = access | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(path.parent.stat().st_mode) & 0o666)
        return descriptor
