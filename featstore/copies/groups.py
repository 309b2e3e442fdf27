"""Groups of images that are the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from featstore.datasets.manifest import Picture


class Match(NamedTuple):
    """Two images that are the same picture.

    Attributes:
        first, second: Digests of the two files; equal for copies byte for byte.
        kind: `bytes`, `pixels` (another file with the same decoded pixels) or `near`.
        score: How alike they are, 0 to 1; 1 for the same pixels.
    """

    first: str
    second: str
    kind: Literal["bytes", "pixels", "near"]
    score: float


@dataclass(frozen=True)
class SamePictures:
    """Which images of a data set are the same picture.

    Attributes:
        matches: Pairs of different files, the most alike first.
        threshold: Score from which two images are the same picture.
    """

    matches: tuple[Match, ...]
    threshold: float

    def unit_names(self, pictures: Sequence[Picture]) -> list[str]:
        """Return the name of the unit of each picture: copies of one picture and images of one group are one unit."""
        raise NotImplementedError
