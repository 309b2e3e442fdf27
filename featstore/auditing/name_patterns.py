r"""What the names of files may say about which images belong together: frames of a film, photos of a patient.

A name alone proves nothing: `cat.12.jpg` and `cat.13.jpg` are numbered and have nothing in common. So the features are
asked two things. Does the image that is most like another one of its class tend to have a name that goes with it? Names
drawn at random would do so by chance, as often as the sizes of the groups say; `excess` is the share of the way from
there to certainty. And is it much nearer than the nearest image of any other group? A breed or a kind of flower in the
names of a class passes the first question, and need not stay in one split. `nearness` is the median ratio of
the two distances. MobileNet 0.75 at 224 px, groups of two or more images:

    names                                                   groups             excess  nearness
    cats_dogs       cat.4372.jpg                            blocks of a hundred  0.01    1.29
    mnist           47118.png, in the order of the writers  blocks of a hundred  0.03    2.00
    cats_dogs       as one class                            cats and dogs        0.94    0.71
    mnist           as one class                            digits               0.93    0.65
    moving crops    film03_frame007.jpg                     film                 1.00    0.13
    moving crops    00437.jpg, films of ten from 5 on       blocks of ten        0.89    0.13

Of flowers5 (5722473541_ffac1ae67e_n.jpg) no part of the names makes groups.

A block of a series cuts through films, so it is named only where no other part of the names says more, and is compared
with images that are not in the blocks next to it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.labels import in_natural_order
from featstore.datasets.name_groups import GroupPattern

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What `--group-by` takes, the plainest first: of patterns that say the same, that one is named.
PATTERNS = {
    r"^([^-_ .]+)[-_ .]": "what their names begin with",
    r"^(\D*\d+)\D": "the first number in their names",
    r"^(.*\D)\d+\D*$": "their names up to the last number",
    r"^(.+)[-_ .][^-_ .]+\.[^.]+$": "their names up to the last part",
    r"([^/]+/[^/]+)/[^/]+$": "their folder and the one above it",
    r"([^/]+)/[^/]+$": "their folder",
}
SERIES = {
    r"^(.*\d)\d\.[^.]+$": "each ten in a row by number",
    r"^(.*\d)\d\d\.[^.]+$": "each hundred in a row by number",
}
LEAST_BLOCKS = 10  # of a series: fewer cannot be divided into splits of about the sizes wanted
LEAST_EXCESS = 0.3
LEAST_SURE = 5.0  # standard deviations above chance
LEAST_SHARE = 0.05  # of the images in groups of two or more
MOST_NEARNESS = 0.5
_BLOCK = 2000  # images that are compared at once


class NameGroups(NamedTuple):
    """Groups that names suggest and features confirm.

    Attributes:
        pattern: The value of `--group-by` that makes them.
        meaning: What the pattern reads, in words.
        groups: Name (n,) of the group of each labelled image; None for one that is alone.
        agreeing: Share of the images in groups whose most similar image of the class is in their group.
        chance: What this share would be for names drawn at random.
        nearness: Distance of the nearest image of the group, as a share of that of the nearest other one; the median.
    """

    pattern: str
    meaning: str
    groups: tuple[str | None, ...]
    agreeing: float
    chance: float
    nearness: float

    @property
    def excess(self) -> float:
        """The share of the way from chance to certainty."""
        return (self.agreeing - self.chance) / (1 - self.chance)


def suspect_groups(
    paths: Sequence[str], X: NDArray[np.float32], y: NDArray[np.intp], picture: NDArray[np.intp]
) -> NameGroups | None:
    """Return the groups that names suggest and features confirm best; None if there are none.

    paths: (n,) relative to the data set, with `/` between their parts. X: features (n, width). y: classes (n,).
    picture: number (n,) of the picture of each image, the same for copies: that these are alike says nothing.
    """
    images = _Images(paths, X, y, picture)
    nearest = images.nearest()
    parts = [found for pattern in PATTERNS if (found := _try(pattern, images, nearest)) is not None]
    blocks = [found for pattern in SERIES if (found := _try(pattern, images, nearest)) is not None]
    suspected = parts or [found for found in blocks if len({*found.groups} - {None}) >= LEAST_BLOCKS]
    return max(suspected, key=lambda found: round(found.excess, 2), default=None)


class _Images(NamedTuple):
    """The images that are compared, as `suspect_groups` has them."""

    paths: Sequence[str]
    X: NDArray[np.float32]
    y: NDArray[np.intp]
    picture: NDArray[np.intp]

    def similarities(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]]:
        """Yield blocks (some, all of a class) of cosines between images of one class, with the places of both.

        The mean of the class is taken away first. Of an image and itself, and of copies, it is -2.
        """
        import numpy as np

        for label in np.unique(self.y):
            places = np.flatnonzero(self.y == label)
            rows = self.X[places] - self.X[places].mean(axis=0)
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            for start in range(0, len(places), _BLOCK):
                some = places[start : start + _BLOCK]
                alike = rows[start : start + _BLOCK] @ rows.T
                alike[self.picture[some, None] == self.picture[places]] = -2.0
                yield some, places, alike

    def nearest(self) -> NDArray[np.intp]:
        """Return the place (n,) of the most similar image of the same class that is not a copy; -1 if there is none."""
        import numpy as np

        nearest = np.full(len(self.y), -1)
        for some, places, alike in self.similarities():
            best = alike.argmax(axis=1)
            has_one = alike[np.arange(len(some)), best] > -2.0
            nearest[some[has_one]] = places[best[has_one]]
        return nearest

    def nearness(self, number: NDArray[np.intp], apart: int) -> float:
        """Return the median ratio of the distance within a group to that from others.

        number: that of the group (n,) of each image, in their order; -1 for one that is alone. apart: by how much the
        numbers of two groups must differ to be compared.
        """
        import numpy as np

        ratios = []
        for some, places, alike in self.similarities():
            between = np.abs(number[some, None] - number[places])
            within = np.where(between == 0, alike, -2.0).max(axis=1)
            beyond = np.where(between >= apart, alike, -2.0).max(axis=1)
            counted = (number[some] >= 0) & (within > -2.0) & (beyond > -2.0)
            ratios.append(((1 - within) / np.maximum(1 - beyond, 1e-6))[counted])
        found = np.concatenate(ratios)
        return float(np.median(found)) if len(found) else math.inf


def _try(pattern: str, images: _Images, nearest: NDArray[np.intp]) -> NameGroups | None:
    """Return the groups of a pattern if the features confirm them."""
    import numpy as np

    names = _groups(pattern, images.paths)
    keys = list(zip(names, images.y.tolist(), strict=True))
    sizes, of_class = Counter(keys), Counter(images.y.tolist())
    by_chance = np.array(
        [(sizes[key] - 1) / max(of_class[key[1]] - 1, 1) if key[0] is not None else 0.0 for key in keys]
    )
    counted = (by_chance > 0) & (by_chance < 1) & (nearest >= 0)  # a group that is a whole class says nothing
    if not counted.any() or counted.mean() < LEAST_SHARE:
        return None
    agrees = np.array([near >= 0 and names[near] == name for name, near in zip(names, nearest.tolist(), strict=True)])
    agreeing, chance = float(agrees[counted].mean()), float(by_chance[counted].mean())
    deviation = math.sqrt(float((by_chance * (1 - by_chance))[counted].sum())) / int(counted.sum())
    if agreeing - chance < max(LEAST_SURE * deviation, LEAST_EXCESS * (1 - chance)):
        return None
    order = {name: place for place, name in enumerate(in_natural_order({name for name in names if name is not None}))}
    number = np.array([-1 if name is None else order[name] for name in names], np.intp)
    nearness = images.nearness(number, 2 if pattern in SERIES else 1)
    if nearness > MOST_NEARNESS:
        return None
    return NameGroups(pattern, (PATTERNS | SERIES)[pattern], tuple(names), agreeing, chance, nearness)


def _groups(pattern: str, paths: Sequence[str]) -> list[str | None]:
    """Return the group of each image by its name, or None where it would be the only one."""
    reader = GroupPattern(pattern)
    names = [reader.group(path) for path in paths]
    sizes = Counter(names)
    return [name if name is not None and sizes[name] > 1 else None for name in names]
