"""A walk over what would be folders, in object storage. There are no links in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from featstore.datasets.file_names import ending_of_other, has_image_name, is_junk, is_table_name
from featstore.datasets.manifest import Skipped
from featstore.datasets.walk import Walk
from featstore.errors import DataError
from featstore.objects.opening import open_bucket
from featstore.objects.tree import Folder, list_tree
from featstore.objects.urls import parse_url
from featstore.system.files import FileStat

_PAGE = 1000  # objects in one answer


class ObjectWalk(Walk):
    """A walk over the folders below a URL, which are listed once."""

    def __init__(self, top: str, tree: Folder | None = None) -> None:
        super().__init__()
        self._top = top
        url, odd = parse_url(top, "data"), list[str]()
        self._tree = list_tree(url, odd) if tree is None else tree
        self.skipped += [Skipped(f"{url.root}/{path}", "no object can be named so here: rename it") for path in odd]

    def folders(self, top: str) -> list[str]:
        return sorted(name for name in self._at(top).folders if not is_junk(name))

    def links_out(self, top: str) -> list[str]:
        return []

    def has_images(self, top: str) -> bool:
        return any(map(_is_image, self._at(top).files))

    def images(self, top: str) -> int:
        return sum(map(_is_image, self._at(top).files))

    def tables(self, top: str) -> list[str]:
        return sorted(filter(is_table_name, self._at(top).files))

    def files(self, top: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        waiting = [(top, self._at(top))]
        while waiting:
            place, folder = waiting.pop()
            for name in sorted(folder.files):
                if is_junk(name):
                    continue
                if ending := ending_of_other(name):
                    self._others[f"{place}/{name}"] = ending
                else:
                    yield f"{place}/{name}", folder.files[name]
            if deep:
                below = sorted(name for name in folder.folders if not is_junk(name))
                waiting += [(f"{place}/{name}", folder.folders[name]) for name in reversed(below)]

    def fresh(self, top: str) -> Walk:
        return ObjectWalk(self._top, self._tree)

    def _at(self, top: str) -> Folder:
        found = self._tree.at(top[len(self._top) :])
        if found is None:
            raise DataError(f"{top}: folder cannot be listed: no such folder")
        return found


class ObjectsBeside:
    """What lies around a data set in object storage: a few requests, however much there is."""

    def folders(self, top: str) -> list[str]:
        """Return the names of the folders directly in `top`; raises DataError."""
        url = parse_url(top, "data")
        try:
            return [name for name in open_bucket(url).list_folder(url.path)[0] if not is_junk(name)]
        except OSError as error:
            raise DataError(f"{top}: folder cannot be listed: {error.strerror}") from error

    def has_images(self, top: str) -> bool:
        """Return whether a file directly in `top` has a name like an image, of the first ones."""
        url = parse_url(top, "data")
        try:
            first = list(islice(open_bucket(url).list_all(url.path), _PAGE))
        except OSError as error:
            raise DataError(f"{top}: folder cannot be listed: {error.strerror}") from error
        names = [found.path[len(url.path) :].lstrip("/") for found in first]
        return any(_is_image(name) for name in names if "/" not in name)


def _is_image(name: str) -> bool:
    return has_image_name(name) and not is_junk(name)
