"""A walk over what is in tars, as if each was unpacked: so every layout of folders is found in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from featstore.datasets.file_names import ending_of_other, has_image_name, is_junk
from featstore.datasets.walk import Walk
from featstore.errors import DataError
from featstore.system.files import FileStat


class PackedFile(NamedTuple):
    """A file in a tar. inside: its path below the data set, if all were unpacked."""

    inside: str
    path: str
    state: FileStat


@dataclass
class _Folder:
    folders: set[str] = field(default_factory=set)
    files: list[tuple[str, PackedFile]] = field(default_factory=list)  # by name


class MemberWalk(Walk):
    """A walk over files in tars, whose paths begin with `source`."""

    def __init__(self, source: str, files: Iterable[PackedFile]) -> None:
        super().__init__()
        self._source = source
        self._tree: dict[str, _Folder] = defaultdict(_Folder)
        self._tree[""] = _Folder()
        for file in files:
            folder, _, name = file.inside.rpartition("/")
            if any(map(is_junk, file.inside.split("/"))):
                continue
            if folder not in self._tree:
                self._add_folder(folder)
            self._tree[folder].files.append((name, file))

    def folders(self, top: str) -> list[str]:
        return sorted(self._at(top).folders)

    def links_out(self, top: str) -> list[str]:
        return []

    def has_images(self, top: str) -> bool:
        return any(has_image_name(name) for name, _ in self._at(top).files)

    def images(self, top: str) -> int:
        return sum(has_image_name(name) for name, _ in self._at(top).files)

    def tables(self, top: str) -> list[str]:
        return []

    def files(self, top: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        """Yield path and state of the files that may be images, those of a tar together."""
        waiting = [(self._key(top), self._at(top))]
        while waiting:
            key, folder = waiting.pop()
            for name, file in folder.files:
                if ending := ending_of_other(name):
                    self._others[file.path] = ending
                else:
                    yield file.path, file.state
            if deep:
                below = (f"{key}/{name}".lstrip("/") for name in sorted(folder.folders, reverse=True))
                waiting += ((name, self._tree[name]) for name in below)

    def fresh(self, top: str) -> MemberWalk:
        walk = MemberWalk(self._source, ())
        walk._tree = self._tree
        return walk

    def _add_folder(self, folder: str) -> None:
        while folder:
            self._tree.setdefault(folder, _Folder())
            parent, _, name = folder.rpartition("/")
            self._tree[parent].folders.add(name)
            folder = parent

    def _key(self, top: str) -> str:
        return top[len(self._source) :].strip("/")

    def _at(self, top: str) -> _Folder:
        if (folder := self._tree.get(self._key(top))) is None:
            raise DataError(f"{top}: no such folder in the tars")
        return folder
