"""The copies that were found before, kept in the cache for exactly these images. Losing them costs only time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from featstore.copies.groups import Match
from featstore.errors import StoreError
from featstore.system.files import read_regular, write_whole

_RULE = 4  # to be raised with every change of what makes two images the same picture, and of the format of the file


class CopyMemory:
    """The matches of sets of images, in one folder of the cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, digests: Collection[str], features: str, threshold: float) -> tuple[Match, ...] | None:
        """Return the matches of the images with these digests; None if they are not known.

        features: the key of the features that proposed them. threshold: the score that they have at least.
        """
        try:
            file = self._file(digests, features, threshold)
            data, _ = read_regular(file)
            check, _, text = data.partition(b"\n")
            if _check(file, text) != check:
                return None
            return tuple(
                Match(str(first), str(second), kind, float(score), tuple(map(str, changes)))
                for first, second, kind, score, changes in json.loads(text)
            )
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def keep(self, digests: Collection[str], features: str, threshold: float, matches: Collection[Match]) -> None:
        """Keep the matches. A cache that cannot be written is not an error: only time is lost."""
        text = json.dumps(list(matches)).encode()
        file = self._file(digests, features, threshold)
        with suppress(StoreError):
            write_whole(file, _check(file, text) + b"\n" + text)

    def _file(self, digests: Collection[str], features: str, threshold: float) -> Path:
        asked = json.dumps([_RULE, features, threshold, sorted(digests)]).encode()
        return self._folder / f"{hashlib.sha256(asked).hexdigest()}.copies"


def _check(file: Path, text: bytes) -> bytes:
    """Return the digest of what a file holds and of its name: a renamed one must not answer for other images."""
    return hashlib.sha256(file.name.encode() + b"\n" + text).hexdigest().encode()
