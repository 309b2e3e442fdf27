"""Pairs of images that may be the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featstore.copies.turns import undone


def by_image(images: NDArray[np.intp]) -> list[tuple[int, NDArray[np.intp]]]:
    """Return each number in `images` (n,) with the places (m,) where it is."""
    order = np.argsort(images, kind="stable")
    numbers, starts = np.unique(images[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts)[1:], strict=True))


@dataclass(frozen=True)
class Pairs:
    """Which images to compare: `first`, turned by `turn`, with `second`; numbers of images and of turns, each (n,)."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    turn: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.first)

    def some(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self.first[which], self.second[which], self.turn[which])

    def swapped(self) -> Pairs:
        """Return the same pairs seen from the other side."""
        return Pairs(self.second, self.first, undone(self.turn))

    def in_order(self) -> Pairs:
        """Return the same pairs, seen from the image with the lower number."""
        back = self.swapped()
        keep = self.first < self.second
        return Pairs(
            np.where(keep, self.first, back.first),
            np.where(keep, self.second, back.second),
            np.where(keep, self.turn, back.turn),
        )

    def unique(self) -> Pairs:
        """Return each pair once, the lower number first, sorted."""
        pairs = self.in_order()
        return Pairs(*np.unique(np.stack([pairs.first, pairs.second, pairs.turn]), axis=1))

    @classmethod
    def joined(cls, several: Sequence[Pairs]) -> Pairs:
        """Return the pairs of all of `several`."""
        return cls(
            np.concatenate([pairs.first for pairs in several]),
            np.concatenate([pairs.second for pairs in several]),
            np.concatenate([pairs.turn for pairs in several]),
        )
