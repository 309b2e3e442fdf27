"""Bytes to disk, whole or not at all. Everything that featstore keeps in a cache goes through `write_whole`.

HDF5 and most libraries write in place. If they are killed meanwhile, they leave a file that opens and has wrong
content, and on a full disk h5py ends the interpreter. So the bytes are completed in memory and written here, as SQLite
and git do it: temporary name, fsync, rename, fsync of the folder.
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
from featstore.system.disk import current_disk

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
    """The state of a file, which changes with its content. Times are in ns since the epoch."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, info: os.stat_result) -> FileStat:
        """Return the state from the result of `os.stat`."""
        state = info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino
        return tuple.__new__(cls, state)  # half the time of `cls(...)`, and there may be a million


class NotRegularFile(OSError):
    """A folder, a pipe or a device where a file is expected."""


def write_whole(path: Path, data: bytes) -> FileStat:
    """Write `data` to `path` so that a reader sees all of it or nothing, also after a power cut.

    Return the state of the file; it is then on disk. Raises StoreError with a remedy. No temporary file is left in that
    case, and `path` is unchanged unless the failure came after the rename.
    """
    with _as_store_error(path, "written"):
        make_folders(path.parent)
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
        descriptor = current_disk().create(temporary)
        try:
            _fill(descriptor, data)
            current_disk().rename(temporary, path)  # the commit; it also repairs a damaged file of this name
            # By descriptor: another writer may have replaced the file since.
            written = FileStat.of(os.fstat(descriptor))
        except BaseException:  # also Ctrl-C: no temporary file outlives its writer
            with suppress(OSError):
                current_disk().remove(temporary)
            with suppress(OSError):
                current_disk().close(descriptor)
            raise
        current_disk().close(descriptor)  # NFS and quotas report a failed write here
        _sync_folder(path.parent)
    return written


@contextmanager
def written_in_parts(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that gets the name `path` when the block ends, for what does not fit into memory.

    As with `write_whole`, a reader sees all of it or nothing, it is then on disk, and nothing is left if the block
    fails. The folder must exist. Raises StoreError.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
    with _as_store_error(path, "written"):
        file = os.fdopen(current_disk().create(temporary), "wb")
        try:
            with file:
                yield file
                file.flush()
                current_disk().sync(file.fileno())
            current_disk().rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                current_disk().remove(temporary)
            raise
        _sync_folder(path.parent)


def open_regular(path: str | Path) -> tuple[BinaryIO, FileStat]:
    """Open a regular file for reading; return it with its state, taken before any byte is read.

    Raises NotRegularFile for anything else, for a pipe at once: a plain `open` would wait for its writer. Raises
    OSError if the file cannot be opened.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    info = os.fstat(file.fileno())  # before the bytes: a later change then shows as another state
    if stat.S_ISREG(info.st_mode):
        return file, FileStat.of(info)
    file.close()
    raise NotRegularFile(errno.EINVAL, "not a regular file")


def read_regular(path: Path) -> tuple[bytes, FileStat]:
    """Return the bytes of a regular file and its state when they were read; raises OSError as `open_regular` does."""
    file, state = open_regular(path)
    with file:
        return file.read(), state


def move(source: Path, target: Path) -> None:
    """Rename a file; the new name is on disk on return. Raises StoreError."""
    with _as_store_error(source, "moved"):
        make_folders(target.parent)
        current_disk().rename(source, target)
        for folder in {source.parent, target.parent}:
            _sync_folder(folder)


def take_name(folder: Path, name: Path) -> bool:
    """Rename `folder` to `name` if nothing has that name, and return whether it was renamed; raises StoreError.

    Of several processes one gets the name: a folder with files is never replaced. The name is on disk on return.
    """
    if os.path.lexists(name):
        return False
    with _as_store_error(name, "made"):
        try:
            current_disk().rename(folder, name)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            raise
        _sync_folder(name.parent)
    return True


def remove(path: Path) -> None:
    """Remove a file, if it exists; raises StoreError. After a power cut the file may exist again."""
    with _as_store_error(path, "removed"), suppress(FileNotFoundError):
        current_disk().remove(path)


def make_folders(folder: Path) -> None:
    """Make `folder` and its missing parents. Their names are synced: files in a lost folder are lost."""
    if not folder.is_dir():
        make_folders(folder.parent)
        try:
            current_disk().make_folder(folder)
            _sync_folder(folder.parent)
        except OSError:  # if it stayed, its name would be taken to be on disk
            with suppress(OSError):
                current_disk().remove_folder(folder)
            raise


def sync_folders(folder: Path, levels: int) -> None:
    """Make `folder`, and sync its name and those of `levels` - 1 folders above it, even if they exist.

    Another process may have made them without having synced their names yet. Raises StoreError.
    """
    with _as_store_error(folder, "made"):
        make_folders(folder)
        for above in folder.parents[:levels]:
            with suppress(PermissionError):  # a folder that may be traversed but not opened
                _sync_folder(above)


def _fill(descriptor: int, data: bytes) -> None:
    with _unsupported_ignored():
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a sign of life: repair removes unlocked leftovers
    with _unsupported_ignored():
        current_disk().allocate(descriptor, len(data))
    rest = memoryview(data)
    while rest:
        rest = rest[current_disk().write(descriptor, rest) :]
    current_disk().sync(descriptor)  # never retried: after a failure the kernel may have dropped the dirty pages


def _sync_folder(folder: Path) -> None:
    with _unsupported_ignored():
        current_disk().sync_folder(folder)


@contextmanager
def _as_store_error(path: Path, what: str) -> Iterator[None]:
    """Turn an OSError into a StoreError with a remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk and run the same command again")
        raise StoreError(f"{path}: cannot be {what}: {error.strerror}; {remedy}") from error


@contextmanager
def _unsupported_ignored() -> Iterator[None]:
    """Ignore an OSError that means "not supported by this file system", and only that."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def file_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
