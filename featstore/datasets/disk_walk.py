"""A walk over the folders of a disk, with links as they are followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter

from featstore.datasets.file_names import ending_of_other, has_image_name, is_junk, is_table_name
from featstore.datasets.manifest import Skipped
from featstore.datasets.options import DataOptions
from featstore.datasets.states import state_of_file
from featstore.datasets.walk import LINK_OUT, Walk
from featstore.errors import DataError
from featstore.system.files import FileStat


class DiskWalk(Walk):
    """A walk over folders of a disk. `os.scandir` saves a system call for each file.

    root: the real path of the data set; links out of it are followed only if `options` say so.
    """

    def __init__(self, root: str, options: DataOptions) -> None:
        super().__init__()
        self._root = root
        self._options = options
        self._followed: set[str] = set()  # folders outside of the data set, so that a circle of links ends
        self._below: dict[str, list[str]] = {}  # what `folders` has answered: every layout asks it of every class

    def folders(self, top: str) -> list[str]:
        if top not in self._below:
            with self._listed(top, with_files=False) as entries:
                self._below[top] = sorted(entry.name for entry in entries if self._is_folder(entry))
        return self._below[top]

    def links_out(self, top: str) -> list[str]:
        with self._listed(top, with_files=False) as entries:
            return sorted(e.name for e in entries if _leads_to_folder(e) and self._reason_against_link(e) == LINK_OUT)

    def has_images(self, top: str) -> bool:
        with self._listed(top) as entries:
            return any(self._is_image(entry) for entry in entries)

    def images(self, top: str) -> int:
        with self._listed(top) as entries:
            return sum(self._is_image(entry) for entry in entries)

    def tables(self, top: str) -> list[str]:
        return sorted(filter(is_table_name, os.listdir(top)))

    def files(self, top: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        """Yield path and state of the regular files below `top`.

        It uses a stack: folders may be nested more deeply than Python's recursion limit.
        """
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with self._listed(folder) as found:
                    entries = sorted(found, key=attrgetter("name"))
            except DataError as error:
                self.skipped.append(Skipped(folder, str(error).removeprefix(f"{folder}: ")))
                continue
            below: list[str] = []
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    if self._is_folder(entry):
                        below += [entry.path] if self._is_first(entry) else []
                        continue
                    if reason := self._reason_against_link(entry):
                        self.skipped.append(Skipped(entry.path, reason))
                        continue
                if ending := ending_of_other(entry.name):
                    self._others[entry.path] = ending
                elif (info := self._stat(entry.path)) is not None:
                    yield entry.path, info
            if deep:
                waiting += reversed(below)

    def fresh(self, top: str) -> Walk:
        return DiskWalk(os.path.realpath(top), self._options)

    def _stat(self, path: str) -> FileStat | None:
        """Return the state of a regular file; anything else is added to `skipped`, and None is returned."""
        state = state_of_file(path)
        if isinstance(state, FileStat):
            return state
        self.skipped.append(Skipped(path, state))
        return None

    @contextmanager
    def _listed(self, folder: str, with_files: bool = True) -> Iterator[Iterator[os.DirEntry[str]]]:
        """Yield what is in a folder, without the files of operating systems; raises DataError.

        with_files: False for folders, links and the like only. Of 10,000 images not even the names are then looked at.
        """
        try:
            with os.scandir(folder) as entries:
                asked = entries if with_files else (e for e in entries if not e.is_file(follow_symlinks=False))
                yield (entry for entry in asked if not is_junk(entry.name))
        except OSError as error:
            raise DataError(f"{folder}: folder cannot be listed: {error.strerror}") from error

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        return has_image_name(entry.name) and not self._is_folder(entry)

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_dir(follow_symlinks=False) or (_leads_to_folder(entry) and not self._reason_against_link(entry))

    def _reason_against_link(self, entry: os.DirEntry[str]) -> str:
        """Return why a link is not followed; nothing if it is, or if `entry` is not a link."""
        if not entry.is_symlink():
            return ""
        inside = self._stays_inside(entry.path)
        if not inside and not self._options.follow_links:
            return LINK_OUT
        if not os.path.isdir(entry.path):
            return ""
        if inside:
            return "link to a folder; its files are listed under their own path"
        target = os.path.join(os.path.realpath(entry.path), "")
        own = os.path.realpath(os.path.dirname(entry.path))
        lies_in_it = any(os.path.join(folder, "").startswith(target) for folder in (self._root, own))
        return "link to a folder that it lies in" if lies_in_it else ""

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

    def _stays_inside(self, path: str) -> bool:
        try:
            return os.path.realpath(path).startswith(self._root + os.sep)
        except OSError:  # it leads through a folder without permission
            return False


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether `entry` is a folder, or a link to one; a link to itself leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:
        return False
