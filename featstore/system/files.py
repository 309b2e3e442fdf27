"""Bytes to disk, whole or not at all. Everything that featstore keeps in a cache goes through `write_whole`.

HDF5 and most libraries write in place: killed at a bad moment they leave a file that opens and lies, and on a full disk
h5py ends the interpreter. So the bytes are finished in memory first and written here (the protocol of SQLite's and
git's loose files): temporary name, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from featstore.errors import StoreError, param
from featstore.system.disk import disk

TEMPORARY = ".tmp-"
NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOLCK}
_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again: all that is stored is kept",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EROFS: f"the file system is read-only; choose another folder (for the cache: {param('cache')})",
    errno.EACCES: f"you may not write there; choose another folder (for the cache: {param('cache')})",
    errno.EPERM: f"you may not write there; choose another folder (for the cache: {param('cache')})",
}


class FileStat(NamedTuple):
    """The state of a file: what changes when its content does. Times are in ns since the epoch."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, info: os.stat_result) -> FileStat:
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


class NotRegularFile(OSError):
    """A folder, a pipe or a device where a file is expected."""


def write_whole(path: Path, data: bytes) -> FileStat:
    """Write `data` to `path` so that a reader sees all of it or nothing, also after a power cut.

    Return the state of the file, which is on disk by then. Raises StoreError with a remedy: no temporary file is left
    behind then, and `path` is as it was unless the failure came after the rename.
    """
    with _one_line(path, "written"):
        make_folders(path.parent)
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
        descriptor = disk().create(temporary)
        try:
            _fill(descriptor, data)
            disk().rename(temporary, path)  # the commit; an equal file already there is healed by it
            # Not by name: another writer may have replaced the file since.
            written = FileStat.of(os.fstat(descriptor))
        except BaseException:  # Ctrl-C as well: no temporary file outlives its writer
            with suppress(OSError):
                disk().remove(temporary)
            with suppress(OSError):
                disk().close(descriptor)
            raise
        disk().close(descriptor)  # NFS and quotas report a failed write here
        _sync_folder(path.parent)
    return written


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises NotRegularFile for anything else, for a pipe at once: a plain `open` would wait for its writer. Raises
    OSError if the file cannot be opened.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise NotRegularFile(errno.EINVAL, "not a regular file")


def read_regular(path: Path) -> tuple[bytes, FileStat]:
    """Return the bytes of a regular file and its state when they were read; raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        state = FileStat.of(os.fstat(file.fileno()))  # before the bytes: a later change then shows as another state
        return file.read(), state


def move(source: Path, target: Path) -> None:
    """Give a file another name, for good when this returns; raises StoreError."""
    with _one_line(source, "moved"):
        make_folders(target.parent)
        disk().rename(source, target)
        for folder in {source.parent, target.parent}:
            _sync_folder(folder)


def remove(path: Path) -> None:
    """Remove a file that may be gone already; raises StoreError. A power cut may bring it back."""
    with _one_line(path, "removed"), suppress(FileNotFoundError):
        disk().remove(path)


def make_folders(folder: Path) -> None:
    """Make `folder` and what is missing above it; what is in it would be lost with it, so its name is synced too."""
    if not folder.is_dir():
        make_folders(folder.parent)
        try:
            disk().make_folder(folder)
            _sync_folder(folder.parent)
        except OSError:  # left behind, it would be taken for one whose name is on disk
            with suppress(OSError):
                disk().remove_folder(folder)
            raise


def settle_folder(folder: Path, levels: int) -> None:
    """Make `folder`, and bring its name and those of `levels` - 1 folders above it to disk, even if others made them.

    Another process may have made them just now and not have come to sync their names. Raises StoreError.
    """
    with _one_line(folder, "made"):
        make_folders(folder)
        for above in folder.parents[:levels]:
            with suppress(PermissionError):  # a folder that may be passed through and not be opened
                _sync_folder(above)


def _fill(descriptor: int, data: bytes) -> None:
    with _ignoring_unsupported():
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a sign of life: repair removes unlocked leftovers
    with _ignoring_unsupported():
        disk().allocate(descriptor, len(data))
    rest = memoryview(data)
    while rest:
        rest = rest[disk().write(descriptor, rest) :]
    disk().sync(descriptor)  # never retried: after a failure the kernel may have dropped the dirty pages


def _sync_folder(folder: Path) -> None:
    with _ignoring_unsupported():
        disk().sync_folder(folder)


@contextmanager
def _one_line(path: Path, what: str) -> Iterator[None]:
    """Turns an OSError into a StoreError with a remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk and run the same command again")
        raise StoreError(f"{path}: cannot be {what}: {error.strerror}; {remedy}") from error


@contextmanager
def _ignoring_unsupported() -> Iterator[None]:
    """Passes over an OSError that says "this file system cannot do that", and only that."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
