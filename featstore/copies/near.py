"""Near copies: features and hashes propose pairs of images, and their pixels decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.copies.coarse import LEAST, best_coarse
from featstore.copies.fine import best_fine
from featstore.copies.groups import THRESHOLD
from featstore.copies.hashes import alike_hashes
from featstore.copies.neighbours import nearest_by_features
from featstore.copies.outline import within_margins
from featstore.copies.pairs import Pairs
from featstore.copies.tiny import BELOW, best_tiny
from featstore.copies.unions import Unions

if TYPE_CHECKING:
    from featstore.copies.sketch import Sketch
    from featstore.system.progress import OnStep

# Pixels of an image. With fewer, other pictures fit as well as copies do: of 1,000 digits of MNIST, shrunk to 20 x 20,
# 9 fit another one; at 16 x 16 12, at 12 x 12 19 and at 8 x 8 74.
FEWEST = 20 * 20
_AT_ONCE = 256  # pairs whose pixels are compared before groups are joined


class Near(NamedTuple):
    """Two images that are nearly the same.

    Attributes:
        first, second: Their numbers.
        score: How well they fit, 0 to 1.
        scale: Size of the first picture in the second one, relative to the frames.
        turn: How the first is turned to look like the second; see `turns`.
        framed: Whether one of them fits without its margins, and the other with all that it shows.
    """

    first: int
    second: int
    score: float
    scale: float
    turn: int
    framed: bool

    @property
    def is_whole(self) -> bool:
        """Whether both show all of the picture: the scale is 1, give or take a step of those that are tried."""
        return 0.94 < self.scale < 1.06


class Versions(NamedTuple):
    """The images as they are compared: each whole one, then those that have margins without them.

    Attributes:
        greys: (m, 96, 96) uint8.
        owner: (m,) number of the image.
        sizes: (width, height) in px of each of n images.
        tiny: (m,) whether the image is too small to have details.
        lost: (m,) whether it has so few pixels that only the same ones say anything.
    """

    greys: NDArray[np.uint8]
    owner: NDArray[np.intp]
    sizes: list[tuple[int, int]]
    tiny: NDArray[np.bool_]
    lost: NDArray[np.bool_]

    @classmethod
    def of(cls, sketches: Sequence[Sketch]) -> Versions:
        """Return the versions of all `sketches`. Tiny images have none without margins: a stroke would be left."""
        sizes = [(sketch.facts.width, sketch.facts.height) for sketch in sketches]
        tiny, lost = [min(size) < BELOW for size in sizes], [math.prod(size) < FEWEST for size in sizes]
        inner = {n: within_margins(sketch.grey) for n, sketch in enumerate(sketches) if not tiny[n]}
        without = {number: grey for number, grey in inner.items() if grey is not None}
        greys = np.stack([*(sketch.grey for sketch in sketches), *without.values()])
        owner = np.array([*range(len(sketches)), *without], np.intp)
        return cls(greys, owner, sizes, np.array(tiny)[owner], np.array(lost)[owner])

    def are_tiny(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Return of which pairs (n,) both images are tiny."""
        return self.tiny[pairs.first] & self.tiny[pairs.second]


def find_near(
    sketches: Sequence[Sketch],
    X: NDArray[np.float32],
    joined: Unions | None = None,
    threshold: float = THRESHOLD,
    on_step: OnStep | None = None,
) -> list[Near]:
    """Return the pairs of images that are nearly the same.

    sketches, X: of n images; the features are (n, width). joined: images that are known to be the same picture; those
    that are found are joined there too. Of images that are joined already no further pair is compared, since a group of
    a hundred copies has 4,950.
    """
    if len(sketches) < 2:
        return []
    joined = joined or Unions(len(sketches))
    versions = Versions.of(sketches)
    if versions.lost.all():
        return []
    pairs = Pairs.joined([nearest_by_features(X), alike_hashes(versions.greys, versions.owner)]).unique()
    found: dict[tuple[int, int], Near] = {}
    for some in not_ruled_out(versions, pairs, joined, on_step):
        for near in score(versions, some):
            if near.score >= threshold:
                joined.join(near.first, near.second)
                pair = near.first, near.second
                found[pair] = _better(near, found.get(pair, near))
    return list(found.values())


def _better(one: Near, other: Near) -> Near:
    """Return the better fit of two images; there is a frame if they fit without it, and not as whole pictures."""
    best = max(one, other, key=lambda near: near.score)
    are_whole = any(near.is_whole and not near.framed for near in (one, other))
    return best._replace(framed=(one.framed or other.framed) and not are_whole)


def score(versions: Versions, pairs: Pairs) -> list[Near]:
    """Return how well the pixels of each of `pairs` fit."""
    tiny = versions.are_tiny(pairs)
    scores, scales = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.float32)
    scores[tiny], scales[tiny] = best_tiny(versions.greys, versions.sizes, pairs.some(tiny))
    scores[~tiny], scales[~tiny] = best_fine(versions.greys, pairs.some(~tiny))
    n = len(versions.sizes)
    owners = Pairs(versions.owner[pairs.first], versions.owner[pairs.second], pairs.turn)
    scales = np.where(owners.first < owners.second, scales, 1 / scales)
    owners = owners.in_order()  # a version without margins comes after all whole images
    framed = (pairs.first >= n) != (pairs.second >= n)
    columns = owners.first, owners.second, scores.clip(0, 1), scales, owners.turn, framed
    return [Near(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def not_ruled_out(versions: Versions, pairs: Pairs, joined: Unions, on_step: OnStep | None = None) -> Iterator[Pairs]:
    """Yield the pairs that the coarse comparison leaves, the most alike first, without those that are joined.

    Of images of fewer than 400 pixels there are none: other pictures fit as well there. Pairs of tiny images come at
    once: they are compared image by image, and not coarsely before.
    """
    pairs = pairs.some(~(versions.lost[pairs.first] | versions.lost[pairs.second]))
    tiny = versions.are_tiny(pairs)
    yield pairs.some(tiny)
    pairs = pairs.some(~tiny)
    coarse = best_coarse(versions.greys, pairs)
    order = np.argsort(-coarse, kind="stable")[: int((coarse >= LEAST).sum())]
    for start in range(0, len(order), _AT_ONCE):
        some = pairs.some(order[start : start + _AT_ONCE])
        owners = zip(versions.owner[some.first].tolist(), versions.owner[some.second].tolist(), strict=True)
        apart = [not joined.are_joined(*pair) for pair in owners]
        yield some.some(np.array(apart))
        if on_step:
            on_step(min(start + _AT_ONCE, len(order)), len(order))
