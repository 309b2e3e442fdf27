"""The objects below a URL as the folders and files that they would be on a disk, from one listing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from featstore.objects.bucket import Found
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url, is_nameable
from featstore.system.files import FileStat


@dataclass(slots=True)
class Folder:
    """What is directly in a folder, by name."""

    files: dict[str, FileStat] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)

    def at(self, path: str) -> Folder | None:
        """Return the folder at a path below this one; None if there is none."""
        found: Folder | None = self
        for name in filter(None, path.split("/")):
            found = found and found.folders.get(name)
        return found

    def walk(self, path: str = "") -> Iterator[tuple[str, Folder]]:
        """Yield this folder and all below it with their paths, sorted as `os.walk` is when its folders are."""
        waiting = [(path, self)]
        while waiting:
            inside, folder = waiting.pop()
            yield inside, folder
            waiting += [(f"{inside}/{name}".lstrip("/"), folder.folders[name]) for name in sorted(folder.folders)[::-1]]


def list_tree(url: Url, odd: list[str]) -> Folder:
    """Return the folder at a URL; it is empty if there is none. Raises OSError.

    odd: gets the paths of objects that cannot be named here.
    """
    return make_tree(open_bucket(url).list_all(url.path), url.path, odd)


def make_tree(listed: Iterable[Found], prefix: str, odd: list[str]) -> Folder:
    """Return the folder of objects, whose paths begin with `prefix`.

    Consoles and Hadoop mark a folder by an empty object of its name: it is taken for the folder. odd: as above.
    """
    top = Folder()
    last, folder = "", top
    for path, state in listed:
        if not is_nameable(path.rstrip("/")):
            odd += [path]
            continue
        parent, _, name = path[len(prefix) :].strip("/").rpartition("/")
        if parent != last:
            last, folder = parent, _make_folder(top, parent)
        if state.size == 0 and "." not in name:
            _make_folder(folder, name)
        else:
            folder.files[name] = state
    for _, folder in top.walk():
        for name in folder.files.keys() & folder.folders.keys():
            if folder.files[name].size == 0:
                del folder.files[name]
    return top


def _make_folder(top: Folder, path: str) -> Folder:
    """Return the folder at a path below another, made if it is not there; the folder itself for an empty path."""
    for name in filter(None, path.split("/")):
        top = top.folders.setdefault(name, Folder())
    return top
