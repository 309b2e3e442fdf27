"""The seam where bytes reach the disk: every operation by which featstore changes what is there, one method each.

Tests put a disk in its place that fails at the n-th operation, that dies, or that forgets what was not synced.
"""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The real one. Every method raises OSError."""

    def create(self, path: Path) -> int:
        """A descriptor of a new file for writing; neither an existing file nor a link is opened."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)

    def allocate(self, descriptor: int, size: int) -> None:
        """Take the space, so that a full disk shows itself before a byte is written."""
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
        """In one step; what is at `target` is replaced."""
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)

    def remove_folder(self, folder: Path) -> None:
        """Raises OSError for a folder that is not empty."""
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


def disk() -> Disk:
    """The disk in use."""
    return _disk


def use(other: Disk) -> Disk:
    """Put another disk in its place; return the previous one."""
    global _disk
    before, _disk = _disk, other
    return before
