"""Bytes to disk, whole or not at all. Everything that featstore keeps in a cache goes through `write_whole`.

HDF5 and most libraries write in place: killed at a bad moment they leave a file that opens and lies, and on a full disk
h5py ends the interpreter. So the bytes are finished in memory first and written here (the protocol of SQLite's and
git's loose files): temporary name, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from featstore.errors import StoreError

try:
    import fcntl
except ImportError:  # not a POSIX system: no sign of life on temporary files, all else holds
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".tmp-"
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOLCK}
_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again: all that is stored is kept",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder with --cache",
    errno.EACCES: "you may not write there; choose another folder with --cache",
    errno.EPERM: "you may not write there; choose another folder with --cache",
}


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Put `data` at `path` so that whoever opens it sees all of it or nothing, also after a power cut.

    When it returns, the bytes are on disk. Raises StoreError with a remedy; nothing is left behind then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(temporary, flags, 0o666)
        try:
            _fill(descriptor, data)
            os.replace(temporary, path)  # the commit; an equal file already there is healed by it
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


def _fill(descriptor: int, data: bytes | memoryview) -> None:
    if fcntl is not None:
        with _ignoring_unsupported():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a sign of life, for whoever clears leftovers
    if hasattr(os, "posix_fallocate") and len(data):
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
