"""Families: the images of a data set that are one picture, and what ties any two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from featstore.copies.groups import SamePictures
from featstore.datasets.manifest import Picture

Kind = Literal["bytes", "pixels", "near", "chain"]
KINDS: tuple[Kind, ...] = ("bytes", "pixels", "near", "chain")
IN_WORDS = {  # how many images are ...
    "bytes": "byte for byte",
    "pixels": "as other files with the same pixels",
    "near": "as near copies",
    "chain": "by way of another copy",
}


class Tie(NamedTuple):
    """What makes two images one picture.

    Attributes:
        kind: That of their match; `chain` for two images that are not compared, or not alike, but both like a third.
        score: How alike they are, 0 to 1; of a chain, what each of its links has at least.
        text: All of it in words.
    """

    kind: Kind
    score: float
    text: str


@dataclass(frozen=True)
class Family:
    """Two or more images that are one picture, in the order of the manifest."""

    pictures: tuple[Picture, ...]
    copies: SamePictures

    def tie(self, one: Picture, other: Picture) -> Tie:
        """Return what ties two images of the family."""
        match = self.copies.between(one, other)
        if match is None:
            return Tie("chain", self.copies.threshold, "a copy of another copy")
        return Tie(match.kind, match.score, match.describe())

    def closest(self, one: Picture, others: Sequence[Picture]) -> tuple[Picture, Tie]:
        """Return which of `others` is most like `one`, and what ties them."""
        ties = [(other, self.tie(one, other)) for other in others]
        return min(ties, key=lambda found: (KINDS.index(found[1].kind), -found[1].score))
