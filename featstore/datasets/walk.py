"""A sorted walk over folders, which records the files that it leaves out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from featstore.datasets.manifest import Skipped
from featstore.datasets.options import DataOptions
from featstore.errors import DataError
from featstore.system.files import FileStat

LINK_OUT = "link that leaves the data set"
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "__macosx", "@eadir"}  # the last is Synology's


class Walk:
    """A sorted walk over folders that records the skipped files. `os.scandir` saves a system call for each file."""

    def __init__(self, options: DataOptions) -> None:
        self._follows = options.follow_links
        self._followed: set[str] = set()  # folders outside of the data set, so that a circle of links ends
        self.skipped: list[Skipped] = []

    def folders(self, top: str, root: str) -> list[str]:
        """Return the names of the folders directly below `top`, with the links that `files` follows."""
        try:
            with os.scandir(top) as entries:
                return sorted(e.name for e in entries if not self._is_junk(e.name) and self._is_folder(e, root))
        except OSError as error:
            raise DataError(f"{top}: folder cannot be listed: {error.strerror}") from error

    def files(self, top: str, root: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        """Yield path and stat of the regular files below `top`, without links to outside of `root`.

        It uses a stack: folders may be nested more deeply than Python's recursion limit.
        """
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda e: e.name)
            except OSError as error:
                self.skipped.append(Skipped(folder, f"folder cannot be listed: {error.strerror}"))
                continue
            below: list[str] = []
            for entry in ordered:
                if self._is_junk(entry.name):
                    continue
                if self._is_folder(entry, root):
                    below += [entry.path] if self._is_first(entry) else []
                elif reason := self._reason_against_link(entry, root):
                    self.skipped.append(Skipped(entry.path, reason))
                elif (info := self.stat(entry.path)) is not None:
                    yield entry.path, info
            if deep:
                waiting += reversed(below)

    def stat(self, path: str) -> FileStat | None:
        """Return the state of a regular file; anything else is added to `skipped`, and None is returned."""
        try:
            info = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: not a valid file name
            self.skipped.append(Skipped(path, f"cannot be opened: {getattr(error, 'strerror', error)}"))
            return None
        if stat.S_ISREG(info.st_mode):
            return FileStat.of(info)
        self.skipped.append(Skipped(path, "not a regular file"))
        return None

    def skip_files(self, top: str, root: str, reason: str) -> None:
        """Add the files directly in `top` to `skipped`."""
        self.skipped += [Skipped(path, reason) for path, _ in self.files(top, root, deep=False)]

    def _is_folder(self, entry: os.DirEntry[str], root: str) -> bool:
        return entry.is_dir(follow_symlinks=False) or (entry.is_dir() and not self._reason_against_link(entry, root))

    def _reason_against_link(self, entry: os.DirEntry[str], root: str) -> str:
        """Return why a link is not followed; nothing if it is, or if `entry` is not a link."""
        if not entry.is_symlink():
            return ""
        inside = self._stays_inside(entry.path, root)
        if not inside and not self._follows:
            return LINK_OUT
        if not os.path.isdir(entry.path):
            return ""
        target = os.path.realpath(entry.path)
        if inside:
            return "link to a folder; its files are listed under their own path"
        own = os.path.realpath(os.path.dirname(entry.path))
        if any(os.path.join(folder, "").startswith(os.path.join(target, "")) for folder in (root, own)):
            return "link to a folder that it lies in"
        return ""

    def _is_first(self, entry: os.DirEntry[str]) -> bool:
        """Return whether a folder is to be read: a link to one that was read through a link before is skipped."""
        if not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        if target in self._followed:
            self.skipped.append(Skipped(entry.path, "link to a folder that was read through another link"))
            return False
        self._followed.add(target)
        return True

    @staticmethod
    def _is_junk(name: str) -> bool:
        return name.startswith(".") or name.lower() in _JUNK

    @staticmethod
    def _stays_inside(path: str, root: str) -> bool:
        try:
            return os.path.realpath(path).startswith(root + os.sep)
        except OSError:  # it leads through a folder without permission
            return False
