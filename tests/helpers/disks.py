"""Disks to be put in the place of the real one: they fail at the n-th operation, or die there.

Each decorates the real disk, as restic's test backends do. `live` runs some work as a process with such a disk.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from featstore.errors import StoreError
from featstore.system.disk import Disk, use_disk

OPERATIONS = tuple(name for name in vars(Disk) if not name.startswith("_"))
DEATHS = ("kill", "torn write")
ERRORS = ("ENOSPC from then on", "EIO", "EIO after the fact", "EROFS from then on")
FAULTS = (*DEATHS, *ERRORS, "short write")
_ONLY_AT_WRITES = ("torn write", "short write")


class Killed(BaseException):
    """The process is dead. No `except Exception` is in its way."""


class HastyDisk(Disk):
    """The real disk, without the time that syncs take: the power stays on."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


class DecoratedDisk(HastyDisk):
    """A disk with every operation going through `perform`; `open` knows the paths of open descriptors."""

    def __init__(self) -> None:
        self.open: dict[int, Path] = {}
        self.left_open: list[Path] = []

    def perform(self, operation: str, *arguments: Any) -> Any:
        done = getattr(HastyDisk, operation)(self, *arguments)
        if operation == "create":
            self.open[done] = arguments[0]
        elif operation == "close":
            del self.open[arguments[0]]
        return done

    def end(self) -> None:
        """The process has ended: the system closes what it `left_open`, and the locks on it go."""
        self.left_open += self.open.values()
        while self.open:
            os.close(self.open.popitem()[0])


def _through_perform(operation: str) -> Callable[..., Any]:
    return lambda self, *arguments: self.perform(operation, *arguments)


for _operation in OPERATIONS:
    setattr(DecoratedDisk, _operation, _through_perform(_operation))


class FaultyDisk(DecoratedDisk):
    """A fault at the n-th operation, or write, counted from 1; `met` says whether it came to that."""

    def __init__(self, nth: int, fault: str) -> None:
        super().__init__()
        assert fault in FAULTS
        self.met = self.dead = self.buried = False
        self.nth = nth
        self._fault, self._count = fault, 0
        self._done: list[tuple[str, Path]] = []
        self._renamed: dict[Path, Path] = {}
        self._lock = threading.Lock()

    @property
    def done(self) -> list[tuple[str, Path]]:
        """All operations, with the file that each was about: with the name that it has in the end.

        The sync of a folder is about the name in it that was changed last.
        """
        return [(operation, self._renamed.get(path, path)) for operation, path in self._done]

    def perform(self, operation: str, *arguments: Any) -> Any:
        with self._lock:  # what the threads of a process do is done one by one, and counted so
            if self.buried:
                raise OSError(errno.EIO, "a dead process does nothing")
            if self.dead:
                raise Killed
            self._note(operation, *arguments)
            counts = operation == "write" or self._fault not in _ONLY_AT_WRITES
            self._count += counts
            later = self._fault.endswith("from then on") and self._count > self.nth
            if not (counts and self._count == self.nth) and not later:
                return super().perform(operation, *arguments)
            self.met = True
            return self._fail(operation, *arguments)

    def end(self) -> None:
        self.dead = True
        super().end()

    def _fail(self, operation: str, *arguments: Any) -> Any:
        if self._fault == "kill":
            self.end()
            raise Killed
        if operation == "write":  # half of the bytes arrive
            arguments = (arguments[0], arguments[1][: len(arguments[1]) // 2])
        done = None
        if operation in ("write", "close") or (self._fault == "EIO after the fact" and operation != "create"):
            done = super().perform(operation, *arguments)  # a close lets the file go whatever it reports
        if self._fault == "short write":
            return done
        if self._fault == "torn write":
            self.end()
            raise Killed
        number = getattr(errno, self._fault.split()[0])
        raise OSError(number, os.strerror(number))

    def _note(self, operation: str, *arguments: Any) -> None:
        about = self.open[arguments[0]] if isinstance(arguments[0], int) else arguments[0]
        if operation == "rename":
            about = arguments[1]
            self._renamed[arguments[0]] = about
        elif operation == "sync_folder":
            about = next((path for name, path in reversed(self._done) if name in ("rename", "make_folder")), about)
        self._done.append((operation, about))


def live(disk: FaultyDisk, work: Callable[[], object]) -> StoreError | Killed | None:
    """Do `work` as a process with that disk; how it ended. Nothing of it is left then but what it did to the disk."""
    before = use_disk(disk)
    try:
        work()
    except (StoreError, Killed) as error:
        if isinstance(error, Killed):
            disk.end()
            disk.buried = True  # no `__del__` of what goes now has a say
        error.__traceback__ = error.__cause__ = error.__context__ = None  # these hold objects that hold locks
        return error
    finally:
        use_disk(before)
        with suppress(OSError):
            disk.end()
    return None


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A real file system of `size` bytes; skips the test where it cannot be had."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
