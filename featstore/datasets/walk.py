"""A sorted walk over a data set's folders, which records the files that it leaves out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator

from featstore.datasets.manifest import Skipped
from featstore.system.files import FileStat
from featstore.system.text import listed

LINK_OUT = "link that leaves the data set"


class Walk(ABC):
    """A sorted walk over folders that records the skipped files: those of a disk, or of object storage.

    Methods take the place of a folder, and raise DataError if it cannot be listed.
    """

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self._others: dict[str, str] = {}  # path -> ending

    def notes(self) -> list[str]:
        """Return a line on the files that are clearly no images, if there are any."""
        if not self._others:
            return []
        endings = [f"{number} {ending}" for ending, number in Counter(self._others.values()).most_common()]
        return [f"left out, as they are not images: {listed(endings)}"]

    def others(self) -> list[str]:
        """Return the paths of the files that are clearly no images among those that `files` has gone over."""
        return list(self._others)

    @abstractmethod
    def folders(self, top: str) -> list[str]:
        """Return the names of the folders directly below `top`, with the links that `files` follows."""

    @abstractmethod
    def links_out(self, top: str) -> list[str]:
        """Return the names of the folders directly below `top` that are links out of the data set and not followed."""

    @abstractmethod
    def has_images(self, top: str) -> bool:
        """Return whether a file directly in `top` has a name like an image."""

    @abstractmethod
    def images(self, top: str) -> int:
        """Return the number of files directly in `top` with names like images."""

    @abstractmethod
    def tables(self, top: str) -> list[str]:
        """Return the names of the files directly in `top` that are tables, sorted."""

    @abstractmethod
    def files(self, top: str, deep: bool = True) -> Iterator[tuple[str, FileStat]]:
        """Yield path and state of the files below `top` that may be images."""

    @abstractmethod
    def fresh(self, top: str) -> Walk:
        """Return a walk from `top` that has recorded nothing, over what this one knows already."""

    def skip_files(self, top: str, reason: str) -> None:
        """Add the files directly in `top` to `skipped`."""
        self.skipped += [Skipped(path, reason) for path, _ in self.files(top, deep=False)]
