"""The classes that are taken for each other most often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = 10  # pairs
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Confused:
    """A class whose images were taken for another one.

    Attributes:
        label: The class of the images.
        answer: The class that was answered.
        n: Number of images that it was answered for.
        of: Number of images of the class.
    """

    label: str
    answer: str
    n: int
    of: int

    def __str__(self) -> str:
        return f"`{self.label}` taken for `{self.answer}` {self.n:,} of {self.of:,}"


def most_confused(counts: NDArray[np.integer[Any]], classes: Sequence[str]) -> tuple[Confused, ...]:
    """Return the pairs of classes that were confused, those with the most images first, ten at most.

    Of as many images, those that are the larger share of their class come first.

    Args:
        counts: (classes, classes) as in `Confusion`.
        classes: Names of the classes.
    """
    totals = counts.sum(axis=1)
    pairs = [(i, j) for i, j in np.argwhere(counts).tolist() if i != j]
    pairs.sort(key=lambda pair: (-counts[pair], totals[pair[0]], pair))
    return tuple(
        Confused(label=classes[i], answer=classes[j], n=int(counts[i, j]), of=int(totals[i])) for i, j in pairs[:_KEPT]
    )


def confused_line(confused: Sequence[Confused], split: str) -> str:
    """Return the first of `confused` on `split` as a line below a table."""
    return f"most confused on {split}: {', '.join(map(str, confused[:_SHOWN]))}"
