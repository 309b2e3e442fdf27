"""Bytes to disk, whole or not at all. Everything that featstore keeps in a cache goes through `write_whole`.

HDF5 and most libraries write in place: killed at a bad moment they leave a file that opens and lies, and on a full disk
h5py ends the interpreter. So the bytes are finished in memory first and written here (the protocol of SQLite's and
git's loose files): temporary name, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

from featstore.errors import StoreError

TEMPORARY = ".tmp-"
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOLCK}
_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again: all that is stored is kept",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder (for the cache: --cache)",
    errno.EACCES: "you may not write there; choose another folder (for the cache: --cache)",
    errno.EPERM: "you may not write there; choose another folder (for the cache: --cache)",
}


def write_whole(path: Path, data: bytes) -> os.stat_result:
    """Put `data` at `path` so that whoever opens it sees all of it or nothing, also after a power cut.

    When it returns, the bytes are on disk in the file whose state is the result. Raises StoreError with a remedy; no
    temporary file is left behind then, and `path` is as it was unless what failed came after the rename.
    """
    try:
        _make_folder(path.parent)
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(temporary, flags, 0o666)
        try:
            _fill(descriptor, data)
            os.replace(temporary, path)  # the commit; an equal file already there is healed by it
            written = os.fstat(descriptor)  # by name it could be another's: two writers may replace each other
        except BaseException:  # Ctrl-C as well: no temporary file outlives its writer
            with suppress(OSError):
                temporary.unlink()
            with suppress(OSError):
                os.close(descriptor)
            raise
        os.close(descriptor)  # NFS and quotas report a failed write here
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; {_remedy(error)}") from error
    return written


def _make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it; what is in it would be lost with it, so its name is synced too."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _fill(descriptor: int, data: bytes) -> None:
    with _ignoring_unsupported():
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a sign of life, for whoever clears leftovers
    if hasattr(os, "posix_fallocate") and data:  # macOS has none
        with _ignoring_unsupported():
            os.posix_fallocate(descriptor, 0, len(data))  # a full disk shows itself now
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)  # never retried: after a failure the kernel may have dropped the dirty pages


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with _ignoring_unsupported():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _ignoring_unsupported:  # noqa: N801 - used like contextlib.suppress
    """Passes over an OSError that says "this file system cannot do that", and only that."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, OSError) and error.errno in _NOT_SUPPORTED


def _remedy(error: OSError) -> str:
    return _REMEDIES.get(error.errno or 0, "check the disk and run the same command again")
