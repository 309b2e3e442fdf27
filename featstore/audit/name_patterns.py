r"""What the names of files may say about which images belong together: frames of a film, photos of a patient.

A name alone proves nothing: `cat.12.jpg` and `cat.13.jpg` are numbered and have nothing in common. So the features are
asked whether the image that is most like another one of its class tends to have a name that goes with it. Names that
were drawn at random would do so by chance, as often as the sizes of the groups say. Measured as the share of the way
from that chance to certainty, on MobileNet 0.75 at 224 px:

    names                                                   groups             share
    cats_dogs       cat.4372.jpg                            blocks of ten      0.00, of a hundred 0.01
    flowers5        5722473541_ffac1ae67e_n.jpg             none
    mnist           47118.png, in the order of the writers  blocks of ten      0.05
    moving crops    film03_frame007.jpg                     film               1.00
    moving crops    p3-h.jpg                                text before `-`    1.00
    moving crops    00437.jpg, films of ten from 5 on       blocks of ten      0.89, of a hundred 0.98

A block of a series cuts through films, so it is named only where no other part of the names says more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

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
LEAST_EXCESS = 0.3  # of the way from chance to certainty
LEAST_SURE = 5.0  # standard deviations above chance
LEAST_SHARE = 0.05  # of the images in groups of two or more
_BLOCK = 2000  # images that are compared at once


class NameGroups(NamedTuple):
    """Groups that names suggest and features confirm.

    Attributes:
        pattern: The value of `--group-by` that makes them.
        meaning: What the pattern reads, in words.
        groups: Name (n,) of the group of each labelled image; None for one that is alone.
        agreeing: Share of the images in groups whose most similar image of the class is in their group.
        chance: What this share would be for names drawn at random.
    """

    pattern: str
    meaning: str
    groups: tuple[str | None, ...]
    agreeing: float
    chance: float

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
    nearest = _nearest_of_class(X, y, picture)
    parts = [found for pattern in PATTERNS if (found := _try(pattern, paths, y, nearest)) is not None]
    blocks = [found for pattern in SERIES if (found := _try(pattern, paths, y, nearest)) is not None]
    suspected = parts or [found for found in blocks if len({*found.groups} - {None}) >= LEAST_BLOCKS]
    return max(suspected, key=lambda found: round(found.excess, 2), default=None)


def _try(pattern: str, paths: Sequence[str], y: NDArray[np.intp], nearest: NDArray[np.intp]) -> NameGroups | None:
    """Return the groups of a pattern if the features confirm them."""
    import numpy as np

    names = _groups(pattern, paths)
    keys = list(zip(names, y.tolist(), strict=True))
    sizes, of_class = Counter(keys), Counter(y.tolist())
    by_chance = np.array(
        [(sizes[key] - 1) / max(of_class[key[1]] - 1, 1) if key[0] is not None else 0.0 for key in keys]
    )
    counted = (by_chance > 0) & (by_chance < 1) & (nearest >= 0)  # a group that is a whole class says nothing
    if not counted.any() or counted.mean() < LEAST_SHARE:
        return None
    agrees = np.array([near >= 0 and names[near] == name for name, near in zip(names, nearest.tolist(), strict=True)])
    agreeing, chance = float(agrees[counted].mean()), float(by_chance[counted].mean())
    deviation = math.sqrt(float((by_chance * (1 - by_chance))[counted].sum())) / int(counted.sum())
    found = NameGroups(pattern, (PATTERNS | SERIES)[pattern], tuple(names), agreeing, chance)
    is_sure = agreeing - chance >= LEAST_SURE * deviation
    return found if is_sure and found.excess >= LEAST_EXCESS else None


def _groups(pattern: str, paths: Sequence[str]) -> list[str | None]:
    """Return the group of each image by its name, or None where it would be the only one."""
    reader = GroupPattern(pattern)
    names = [reader.group(path) for path in paths]
    sizes = Counter(names)
    return [name if name is not None and sizes[name] > 1 else None for name in names]


def _nearest_of_class(X: NDArray[np.float32], y: NDArray[np.intp], picture: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the place (n,) of the most similar image of the same class that is not a copy; -1 if there is none."""
    import numpy as np

    nearest = np.full(len(y), -1)
    for label in np.unique(y):
        places = np.flatnonzero(y == label)
        rows = X[places] - X[places].mean(axis=0)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        for start in range(0, len(places), _BLOCK):
            alike = rows[start : start + _BLOCK] @ rows.T
            alike[picture[places[start : start + _BLOCK], None] == picture[places]] = -2.0
            best = alike.argmax(axis=1)
            has_one = alike[np.arange(len(alike)), best] > -2.0
            nearest[places[start : start + _BLOCK][has_one]] = places[best[has_one]]
    return nearest
