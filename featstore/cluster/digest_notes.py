"""Digests of files in a job whose workers read the files, and whose driver remembers them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.cluster.work import Seen
from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Picture
from featstore.system.files import FileStat

if TYPE_CHECKING:
    from featstore.extraction.cache import Cache


class DigestNotes(DigestMemory):
    """The digests that a worker is told with a block, and those that it finds: nothing is on a disk.

    seen: the files that were read.
    """

    def __init__(self, pictures: Iterable[Picture]) -> None:
        super().__init__(Path())
        self._told = {(p.path, p.stat): p.known_digest for p in pictures if p.known_digest is not None}
        self.seen: list[Seen] = []

    def get_all(self, files: Iterable[tuple[str, FileStat]]) -> list[str | None]:
        return [self._told.get(file) for file in files]

    def remember(self, path: str, stat: FileStat, digest: str, grain: int | None) -> None:
        self._told[path, stat] = digest
        self.seen.append(Seen(Picture(path, stat, known_digest=digest), grain))

    def last_known(self, path: str) -> str | None:
        return None

    def refresh(self) -> None: ...

    def save(self) -> None: ...


class ToldDigests(DigestMemory):
    """The digests of a cache, and for the length of a job those that its workers have found.

    A file that is too young to be remembered is not read once more at the end of the job.
    """

    def __init__(self, cache: Cache) -> None:
        super().__init__(Path())
        self._memory = cache.digests
        self._told: dict[tuple[str, FileStat], str] = {}

    def take(self, picture: Picture, grain: int | None) -> None:
        """Take in what a worker has found; `picture` has the state that the file was read in."""
        self._told[picture.path, picture.stat] = picture.digest
        self._memory.remember(picture.path, picture.stat, picture.digest, grain)

    def get_all(self, files: Iterable[tuple[str, FileStat]]) -> list[str | None]:
        asked = list(files)
        kept = self._memory.get_all(asked)
        return [known or self._told.get(file) for known, file in zip(kept, asked, strict=True)]

    def remember(self, path: str, stat: FileStat, digest: str, grain: int | None) -> None:
        self._memory.remember(path, stat, digest, grain)

    def last_known(self, path: str) -> str | None:
        return self._memory.last_known(path)

    def refresh(self) -> None:
        self._memory.refresh()

    def save(self) -> None:
        self._memory.save()
