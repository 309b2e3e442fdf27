"""The confusion of classes: which class was answered for images of which, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.units import Units
from featstore.system.figures import figure, interval
from featstore.system.text import Table


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """How one class fared.

    Attributes:
        name: Name of the class.
        n: Number of its images.
        found: Share of these that were answered with it (recall); None if there are none.
        found_ci95: 95 % interval (low, high) of that share.
        answers: Number of images that were answered with it.
        right: Share of these answers that are right (precision); None if there are none.
        right_ci95: 95 % interval (low, high) of that share.
        taken_for: The other class that its images were answered with most often; None if all were right.
    """

    name: str
    n: int
    found: float | None
    found_ci95: tuple[float, float] | None
    answers: int
    right: float | None
    right_ci95: tuple[float, float] | None
    taken_for: str | None

    def describe(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        intervals = {"found_ci95": self.found_ci95, "right_ci95": self.right_ci95}
        return asdict(self) | {name: ends and list(ends) for name, ends in intervals.items()}


@dataclass(frozen=True, eq=False)
class Confusion:
    """The answers to labelled images, counted.

    Attributes:
        classes: Names of the classes.
        counts: (classes, classes): images of the class of the row that were answered with the class of the column.
        per_class: The figures of each class.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.intp]
    per_class: tuple[ClassFigures, ...]

    def table(self) -> Table:
        """Return the figures of the classes as a table."""
        return class_table(self.per_class)


def class_table(per_class: Sequence[ClassFigures]) -> Table:
    """Return the figures of the classes as a table, a row for each."""
    rows = [
        [
            c.name,
            str(c.n),
            "-" if c.found is None else figure(c.found),
            "-" if c.found_ci95 is None else interval(c.found_ci95),
            str(c.answers),
            "-" if c.right is None else figure(c.right),
            c.taken_for or "",
        ]
        for c in per_class
    ]
    return Table(["class", "n", "found", "95 % interval", "answers", "right", "most taken for"], rows)


def count_confusion(
    probabilities: NDArray[Any], truth: NDArray[np.intp], classes: Sequence[str], units: Units | None = None
) -> Confusion:
    """Count the answers of `probabilities` (n, classes) to images whose class is at the place `truth` (n,)."""
    answers = probabilities.argmax(axis=1)
    counts = np.zeros((len(classes), len(classes)), np.intp)
    np.add.at(counts, (truth, answers), 1)
    units = units or Units.single(len(truth))
    figures = []
    for place, name in enumerate(classes):
        mine, given = truth == place, answers == place
        hit = (mine & given).astype(float)
        others = counts[place].copy()
        others[place] = 0
        figures.append(
            ClassFigures(
                name=name,
                n=int(mine.sum()),
                found=float(hit[mine].mean()) if mine.any() else None,
                found_ci95=accuracy_interval(hit[mine], units.of(mine)) if mine.any() else None,
                answers=int(given.sum()),
                right=float(hit[given].mean()) if given.any() else None,
                right_ci95=accuracy_interval(hit[given], units.of(given)) if given.any() else None,
                taken_for=classes[int(others.argmax())] if others.any() else None,
            )
        )
    return Confusion(tuple(classes), counts, tuple(figures))
