"""The disk: one method for each operation by which featstore changes files and folders.

Tests replace it with a disk that fails at the n-th operation, ends the process, or forgets what was not synced.
"""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The real disk. Every method raises OSError."""

    def create(self, path: Path) -> int:
        """Return a descriptor of a new file for writing. An existing file or a link is an error."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)

    def allocate(self, descriptor: int, size: int) -> None:
        """Reserve the space, so that a full disk is an error before a byte is written."""
        if hasattr(os, "posix_fallocate") and size:  # macOS has none
            os.posix_fallocate(descriptor, 0, size)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of `data`; return how many bytes the system took, which may be fewer."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename in one step; a file at `target` is replaced."""
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder; raises OSError if it is not empty."""
        os.rmdir(folder)

    def touch(self, path: Path) -> None:
        """Set the time of an existing file to now."""
        os.utime(path)

    def sync_folder(self, folder: Path) -> None:
        """Bring the names in `folder` to disk."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_disk = Disk()


def current_disk() -> Disk:
    """Return the disk in use."""
    return _disk


def use_disk(other: Disk) -> Disk:
    """Replace the disk in use; return the previous one."""
    global _disk
    before, _disk = _disk, other
    return before
