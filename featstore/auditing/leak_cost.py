"""What leaks do to the accuracy: measured with the leaked images, without them, and by a head that has not seen them.

The head is `logistic` on the features in the plain view, as `train-head` has it where it is not told otherwise.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.auditing.subject import Subject
from featstore.system.figures import figure, interval, with_interval
from featstore.system.text import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.paired import Difference

HEAD = "logistic"


class Measured(NamedTuple):
    """An accuracy on `n` images, with its 95 % interval."""

    n: int
    accuracy: float
    ci95: tuple[float, float]

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"n": self.n, "accuracy": self.accuracy, "accuracy_ci95": list(self.ci95)}

    def cells(self) -> list[str]:
        """Return the measure as cells of a table."""
        return [f"{self.n:,}", figure(self.accuracy), interval(self.ci95)]


@dataclass(frozen=True, kw_only=True)
class LeakCost:
    """What leaks do to the accuracy on a held-out split.

    Attributes:
        split: The split that is measured on: `test`, or `val` where no test image leaks.
        all: All its images.
        clean: Those that do not leak; None if all leak.
        leaked: Those that leak.
        unseen: All its images, by a head that was trained without their copies; None if a class would be left empty.
        gain: Accuracy on all its images less that of this head, on the same images.
    """

    split: str
    all: Measured
    clean: Measured | None
    leaked: Measured
    unseen: Measured | None
    gain: Difference | None

    def sentence(self) -> str:
        """Return the accuracy with and without the leaked images, and what having trained on their copies changes."""
        with_them = f"accuracy of {HEAD} on {self.split} is {with_interval(self.all.accuracy, self.all.ci95)} with them"
        if self.clean is None:
            return f"{with_them}, and there are no others"
        both = f"{with_them} and {with_interval(self.clean.accuracy, self.clean.ci95)} without"
        if self.gain is None:
            return both
        worth = "is worth" if self.gain.is_significant else "is worth nothing that can be told:"
        return f"{both}; to have trained on their copies {worth} {self.gain.in_points()}"

    def table(self) -> Table:
        """Return the measures, a row for each."""
        rows = {
            f"all of {self.split}": self.all,
            "without those that leak": self.clean,
            "only those that leak": self.leaked,
            "all, copies not trained on": self.unseen,
        }
        return Table(
            [f"{HEAD} on", "images", "accuracy", "95 % interval"],
            [[name, *measured.cells()] for name, measured in rows.items() if measured],
        )

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "head": HEAD,
            "split": self.split,
            "all": self.all.describe(),
            "clean": self.clean and self.clean.describe(),
            "leaked": self.leaked.describe(),
            "unseen": self.unseen and self.unseen.describe(),
            "gain": self.gain and self.gain.value,
            "gain_ci95": self.gain and [self.gain.low, self.gain.high],
        }


def measure_cost(subject: Subject, leaked: Collection[str]) -> LeakCost | None:
    """Return what the images at the paths `leaked` do to the accuracy.

    None if none of them has a label, or there is nothing to train on.
    """
    import numpy as np

    from featstore.evaluation.intervals import accuracy_interval
    from featstore.evaluation.paired import paired_difference
    from featstore.evaluation.units import Units

    split = np.array([p.split or "" for p in subject.labelled])
    leaks = np.array([p.path in leaked for p in subject.labelled], bool)
    if not leaks.any() or len(subject.manifest.classes) < 2:
        return None
    measured_on = "test" if (leaks & (split == "test")).any() else "val"
    held_out, trained = np.flatnonzero(split == measured_on), np.flatnonzero(split == "train")
    leaks = leaks[held_out]
    right = _right(subject, trained, held_out)
    if right is None:
        return None
    units = Units(np.asarray(subject.units)[held_out])

    def measure(right: NDArray[np.float64], some: NDArray[np.bool_]) -> Measured:
        return Measured(int(some.sum()), float(right[some].mean()), accuracy_interval(right[some], units.of(some)))

    pictures = subject.picture_numbers
    unseen = _right(subject, trained[~np.isin(pictures[trained], pictures[held_out])], held_out)
    everything = np.ones(len(held_out), bool)
    return LeakCost(
        split=measured_on,
        all=measure(right, everything),
        clean=None if leaks.all() else measure(right, ~leaks),
        leaked=measure(right, leaks),
        unseen=None if unseen is None else measure(unseen, everything),
        gain=None if unseen is None else paired_difference(right, unseen, units),
    )


def _right(subject: Subject, trained: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return which images `held_out` (n,) a head is right on; None if a class has no image among those `trained` on."""
    import numpy as np

    from featstore.datasets.units import unit_names
    from featstore.heads.registry import make_head

    if len(np.unique(subject.y[trained])) < len(subject.manifest.classes):
        return None
    units = np.asarray(unit_names([subject.labelled[i] for i in trained]))
    groups = None if len(np.unique(units)) == len(units) else units  # as `training_rows` has them
    head = make_head(HEAD)
    head.fit(subject.X[trained], subject.y[trained], None, subject.seed, None, groups)
    answers = head.predict_proba(subject.X[held_out]).argmax(axis=1)
    return np.asarray(answers == subject.y[held_out], float)
