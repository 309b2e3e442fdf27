"""Groups of images that are the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from featstore.datasets.manifest import Picture
from featstore.datasets.units import unit_names

# From this score on, two images are the same picture. In two sets of photos no other picture reached it (at most 0.84,
# dandelions on dark ground), and of 2,600 copies of 13 kinds all but 3 are found, crops of 80 % (benchmarks/copies.py).
THRESHOLD = 0.85


class Match(NamedTuple):
    """Two images that are the same picture.

    Attributes:
        first, second: Digests of the two files; equal for copies byte for byte.
        kind: `bytes`, `pixels` (another file with the same decoded pixels) or `near`.
        score: How alike they are, 0 to 1; 1 for the same pixels.
        changes: How they differ, where that is known, such as `mirrored` and `cropped`.
    """

    first: str
    second: str
    kind: Literal["bytes", "pixels", "near"]
    score: float
    changes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return what they are to each other, in words: `a near copy, mirrored and cropped`."""
        if self.kind == "near":
            return "a near copy" + (f", {' and '.join(self.changes)}" if self.changes else "")
        return "a copy byte for byte" if self.kind == "bytes" else "another file with the same pixels"


@dataclass(frozen=True)
class SamePictures:
    """Which images of a data set are the same picture.

    Attributes:
        matches: Pairs of different files, the most alike first. Of many copies of one picture not every pair is here.
        threshold: Score from which two images are the same picture.
    """

    matches: tuple[Match, ...]
    threshold: float

    def unit_names(self, pictures: Sequence[Picture]) -> list[str]:
        """Return the name of the unit of each picture: copies of one picture and images of one group are one unit."""
        return unit_names(pictures, [(match.first, match.second) for match in self.matches])

    def groups(self, pictures: Sequence[Picture]) -> list[tuple[Picture, ...]]:
        """Return the pictures that are there more than once, those of one picture together, in the order given.

        Groups of the data set itself do not count here: two frames of a film are not the same picture.
        """
        names = self.unit_names([picture._replace(group=None) for picture in pictures])
        members: dict[str, list[Picture]] = defaultdict(list)
        for name, picture in zip(names, pictures, strict=True):
            members[name].append(picture)
        return [tuple(group) for group in members.values() if len(group) > 1]

    def across_splits(self, pictures: Sequence[Picture]) -> list[tuple[Picture, ...]]:
        """Return the groups with images in more than one split: leaks."""
        return [group for group in self.groups(pictures) if len({p.split for p in group} - {None}) > 1]

    def between(self, first: Picture, second: Picture) -> Match | None:
        """Return how two pictures are the same; None where they are not, or only by way of a third one."""
        if first.digest == second.digest:
            return Match(first.digest, second.digest, "bytes", 1.0)
        return self._by_pair.get(frozenset((first.digest, second.digest)))

    @cached_property
    def _by_pair(self) -> Mapping[frozenset[str], Match]:
        # reversed: of two matches of a pair the more alike one counts
        return {frozenset((match.first, match.second)): match for match in reversed(self.matches)}


def most_alike_first(matches: Iterable[Match]) -> tuple[Match, ...]:
    """Return the matches in the order of `SamePictures`: the same for the same images."""
    return tuple(sorted(matches, key=lambda match: (-match.score, match.kind != "pixels", match[:2])))
