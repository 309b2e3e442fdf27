"""A sorted walk over a data set's folders, which records the files that it leaves out."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter

from featstore.datasets.manifest import Skipped
from featstore.datasets.options import DataOptions
from featstore.errors import DataError
from featstore.system.files import FileStat
from featstore.system.text import listed

LINK_OUT = "link that leaves the data set"
# fmt: off
_IMAGES = {
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "jp2",
    "j2k", "jpx", "avif", "heic", "heif", "hif",
}
_OTHERS = {  # clearly no images: tables, texts, code, archives, films and sounds
    "csv", "tsv", "parquet", "xls", "xlsx", "ods", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "cfg",
    "txt", "md", "rst", "log", "html", "htm", "css", "py", "pyc", "ipynb", "r", "m", "sh", "js", "c", "h",
    "cpp", "java", "bat", "zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar", "npy", "npz", "mat", "pkl", "h5",
    "hdf5", "pt", "pth", "onnx", "keras", "tfrecord", "db", "sqlite", "mp4", "mov", "avi", "mkv", "webm", "mp3",
    "wav", "doc", "docx", "rtf", "odt", "md5", "sha1", "sha256", "part", "tmp", "bak", "lock", "aae", "thm",
}
_OTHER_NAMES = {"readme", "license", "licence", "copying", "changelog", "makefile", "dockerfile"}
# fmt: on
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "__macosx", "@eadir"}  # the last is Synology's


def has_image_name(name: str) -> bool:
    """Return whether the name of a file ends like that of an image."""
    return name.rpartition(".")[2].lower() in _IMAGES and "." in name


def ending_of_other(name: str) -> str:
    """Return the ending, or the whole name, of a file that by its name is clearly not an image; else nothing."""
    _, dot, ending = name.rpartition(".")
    if dot and ending.lower() in _OTHERS:
        return f".{ending.lower()}"
    return name if name.lower() in _OTHER_NAMES else ""


class Walk:
    """A sorted walk over folders that records the skipped files. `os.scandir` saves a system call for each file.

    root: the real path of the data set; links out of it are followed only if `options` say so.
    """

    def __init__(self, root: str, options: DataOptions) -> None:
        self._root = root
        self._follows = options.follow_links
        self._followed: set[str] = set()  # folders outside of the data set, so that a circle of links ends
        self.skipped: list[Skipped] = []
        self._others: dict[str, str] = {}  # path -> ending
        self._below: dict[str, list[str]] = {}  # what `folders` has answered: every layout asks it of every class

    def notes(self) -> list[str]:
        """Return a line on the files that are clearly no images, if there are any."""
        if not self._others:
            return []
        endings = [f"{number} {ending}" for ending, number in Counter(self._others.values()).most_common()]
        return [f"left out, as they are not images: {listed(endings)}"]

    def folders(self, top: str) -> list[str]:
        """Return the names of the folders directly below `top`, with the links that `files` follows."""
        if top not in self._below:
            with self._listed(top, with_files=False) as entries:
                self._below[top] = sorted(entry.name for entry in entries if self._is_folder(entry))
        return self._below[top]

    def links_out(self, top: str) -> list[str]:
        """Return the names of the folders directly below `top` that are links out of the data set and not followed."""
        with self._listed(top, with_files=False) as entries:
            return sorted(e.name for e in entries if _leads_to_folder(e) and self._reason_against_link(e) == LINK_OUT)

    def has_images(self, top: str) -> bool:
        """Return whether a file directly in `top` has a name like an image."""
        with self._listed(top) as entries:
            return any(self._is_image(entry) for entry in entries)

    def images(self, top: str) -> int:
        """Return the number of files directly in `top` with names like images."""
        with self._listed(top) as entries:
            return sum(self._is_image(entry) for entry in entries)

    def files(self, top: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        """Yield path and stat of the regular files below `top`.

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

    def skip_files(self, top: str, reason: str) -> None:
        """Add the files directly in `top` to `skipped`."""
        self.skipped += [Skipped(path, reason) for path, _ in self.files(top, deep=False)]

    @contextmanager
    def _listed(self, folder: str, with_files: bool = True) -> Iterator[Iterator[os.DirEntry[str]]]:
        """Yield what is in a folder, without the files of operating systems; raises DataError.

        with_files: False for folders, links and the like only. Of 10,000 images not even the names are then looked at.
        """
        try:
            with os.scandir(folder) as entries:
                asked = entries if with_files else (e for e in entries if not e.is_file(follow_symlinks=False))
                yield (entry for entry in asked if not self._is_junk(entry.name))
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
        if not inside and not self._follows:
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

    @staticmethod
    def _is_junk(name: str) -> bool:
        return name.startswith(".") or name.lower() in _JUNK

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
