"""HDF5 files that are only read: without a lock, so that they may lie on a file system that has none.

Keras opens files by itself and locks them. On the command line nothing else uses HDF5, so there `read_without_locks`
turns locks off for the whole process. A Python program may write HDF5 files of its own, so there it stays as it is:
Keras is given private copies, and most temporary folders have locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from featstore.bases.file_kinds import check_hdf5
from featstore.errors import BaseUnavailable

LOCKS = "HDF5_USE_FILE_LOCKING"  # HDF5 reads it when h5py is imported


def read_without_locks() -> None:
    """Let HDF5 open files without locks, for a process that only reads them. To be called before h5py is imported."""
    os.environ.setdefault(LOCKS, "FALSE")


@contextmanager
def open_hdf5(path: str | os.PathLike[str], content: IO[bytes] | None = None, mode: str = "r") -> Iterator[Any]:
    """Open an HDF5 file, or `content` in its place; Python opens it for h5py, which then locks nothing.

    Raises BaseUnavailable for what h5py cannot read, also within the block: it reads an item when it is asked for.
    """
    import h5py

    try:
        with content or open(path, f"{mode[0]}b{mode[1:]}") as opened, h5py.File(opened, mode) as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        if content is None:
            check_hdf5(Path(path))  # which knows a better reason, if it is not such a file or not a whole one
        raise BaseUnavailable(f"{path}: cannot be read as an HDF5 file: {error}") from error


def is_about_locks(error: Exception) -> bool:
    """Return whether HDF5 failed to lock a file."""
    return "unable to lock file" in str(error)
