"""Whether features show a cue, asked within one class: across classes the label would answer for it.

Where all cats have one quality of JPEG and all dogs another, no class has both, and there is nothing to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.auditing.tells import FEWEST, FEWEST_UNITS, TOLD, balanced
from featstore.evaluation.intervals import mean_over_classes_interval
from featstore.evaluation.units import Units
from featstore.heads.folds import make_folds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FOLDS = 5
_C = 0.01  # of the logistic regression on scaled features: a hundred images of a thousand numbers need a small one
_MOST = 500  # images of each side


class Visible(NamedTuple):
    """How well a head on the features sees a cue within a class. accuracy: balanced, out of fold, with its interval."""

    within: str
    accuracy: float
    interval: tuple[float, float]

    @property
    def is_seen(self) -> bool:
        """Whether a head can use the cue."""
        return self.accuracy >= TOLD

    @property
    def is_hidden(self) -> bool:
        """Whether the features hardly show the cue, beyond doubt."""
        return self.interval[1] < TOLD

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"within": self.within, "balanced_accuracy": self.accuracy, "interval": list(self.interval)}


def visible_in(
    X: NDArray[np.float32], side: NDArray[np.intp], labels: NDArray[np.str_], units: NDArray[np.str_], seed: int
) -> Visible | None:
    """Return how well the features X (n, width) show on which `side` (n,) of a cue an image is, 0 or 1.

    The largest class with enough images on both sides is asked; None without such a class.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classes = {
        str(label): _both_sides(np.flatnonzero(labels == label), side, units, seed) for label in np.unique(labels)
    }
    within, rows = max(classes.items(), key=lambda item: len(item[1]))
    folds = make_folds(side[rows], _FOLDS, seed, units[rows]) if len(rows) else []
    if not folds:
        return None
    X, truth = X[rows], side[rows]
    head = make_pipeline(StandardScaler(), LogisticRegression(C=_C, class_weight="balanced", max_iter=1000))
    right = np.concatenate([head.fit(X[a], truth[a]).predict(X[b]) == truth[b] for a, b in folds]).astype(float)
    scored = np.concatenate([held_out for _, held_out in folds])
    truth, of_scored = truth[scored], Units(units[rows][scored])
    return Visible(within, balanced(right, truth), mean_over_classes_interval(right, truth, of_scored))


def _both_sides(rows: NDArray[np.intp], side: NDArray[np.intp], units: NDArray[np.str_], seed: int) -> NDArray[np.intp]:
    """Return `rows`, at most `_MOST` of either side, if there are enough on both; else none."""
    import numpy as np

    sides = [rows[side[rows] == value] for value in (0, 1)]
    if any(len(some) < FEWEST or len(set(units[some])) < FEWEST_UNITS for some in sides):
        return rows[:0]
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.permutation(some)[:_MOST] for some in sides]))
