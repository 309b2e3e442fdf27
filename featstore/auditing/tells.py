"""Tells: how well a small tree tells one class from all others by one cue, on images that it was not grown on.

A tree that some shuffle of the labels equals has told nothing: on few images chance divides well too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.auditing.cues import Cue
from featstore.evaluation.intervals import mean_over_classes_interval
from featstore.evaluation.units import Units
from featstore.heads.folds import Fold, make_folds
from featstore.system.text import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.tree import DecisionTreeClassifier

FEWEST, FEWEST_UNITS = 30, 10  # images of a class, and of all others; units that they are in, at least
MOST_CLASSES = 100  # the largest ones: a thousand would take minutes
TOLD = 0.65  # balanced accuracy: 0.5 is chance. Clean photos reach 0.58, and the mildest real shortcut seen 0.79
SHUFFLES = 20  # of the labels: one must beat the tree by chance in less than 1 of 21 cases
_FOLDS, _DEPTH, _LEAF = 5, 3, 0.01
_SIDE = 3000  # images of a class, and of all others, at most: more tell the same
_ROWS = 4  # of the cross table


class Question(NamedTuple):
    """One class against all others. rows: the n images. is_it: 1 for images of the class. units, folds: of these."""

    label: str
    others: str
    rows: NDArray[np.intp]
    is_it: NDArray[np.intp]
    units: NDArray[np.str_]
    folds: list[Fold]


class Tell(NamedTuple):
    """How well a cue tells a class from the others. accuracy: balanced, out of fold, with its 95 % interval."""

    cue: Cue
    label: str
    others: str
    accuracy: float
    interval: tuple[float, float]
    shuffled: float | None  # the best of the shuffles; None where the accuracy is too low to ask

    @property
    def is_told(self) -> bool:
        """Whether the cue tells the class: well, and better than any shuffle."""
        return self.shuffled is not None and self.accuracy > self.shuffled

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "cue": self.cue.name,
            "role": self.cue.role,
            "label": self.label,
            "balanced_accuracy": self.accuracy,
            "interval": list(self.interval),
            "best_of_shuffles": self.shuffled,
            "told": self.is_told,
        }


def questions_of(labels: Sequence[str], units: Sequence[str], seed: int) -> list[Question]:
    """Return a question for each class with enough images, of the largest classes; two classes are one question."""
    import numpy as np

    names, y, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    largest = np.sort(np.argsort(-sizes, kind="stable")[:MOST_CLASSES])
    of_all = np.asarray(units)
    rng, questions = np.random.default_rng(seed), []
    for number in largest[:1] if len(names) == 2 else largest:
        label, sides = names[number], [np.flatnonzero(y == number), np.flatnonzero(y != number)]
        if any(len(side) < FEWEST or len(set(of_all[side])) < FEWEST_UNITS for side in sides):
            continue
        rows = np.sort(np.concatenate([rng.permutation(side)[:_SIDE] for side in sides]))
        is_it, of_rows = (y[rows] == number).astype(np.intp), of_all[rows]
        folds = make_folds(is_it, _FOLDS, seed, None if len(set(of_rows)) == len(rows) else of_rows)
        if folds:
            others = str(names[1]) if len(names) == 2 else "the other images"
            questions.append(Question(str(label), others, rows, is_it, of_rows, folds))
    return questions


def tell_of(cue: Cue, questions: Sequence[Question], seed: int) -> Tell:
    """Return the class that a cue tells best. Labels are shuffled only where the tree does well enough to ask."""
    tells = sorted((_measured(cue, question) for question in questions), key=lambda tell: -tell.accuracy)
    for tell in tells:
        if tell.accuracy < TOLD:
            break
        question = next(question for question in questions if question.label == tell.label)
        asked = tell._replace(shuffled=_best_shuffle(cue.values()[question.rows], question, seed))
        if asked.is_told:
            return asked
    return tells[0]


def _measured(cue: Cue, question: Question) -> Tell:
    right, scored = _out_of_fold(cue.values()[question.rows], question.is_it, question.folds)
    truth = question.is_it[scored]
    ends = mean_over_classes_interval(right, truth, Units(question.units[scored]))
    return Tell(cue, question.label, question.others, balanced(right, truth), ends, None)


def _out_of_fold(
    X: NDArray[np.float32], is_it: NDArray[np.intp], folds: Sequence[Fold]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return whether the tree is right about each image that it was not grown on, and the rows of these."""
    import numpy as np
    from sklearn import config_context

    with config_context(skip_parameter_validation=True):  # half the time of a small tree, and there are thousands
        right = [
            _grow(X[train], is_it[train]).predict(X[held_out], check_input=False) == is_it[held_out]
            for train, held_out in folds
        ]
    return np.concatenate(right).astype(float), np.concatenate([held_out for _, held_out in folds])


def _grow(X: NDArray[np.float32], is_it: NDArray[np.intp], **options: int) -> DecisionTreeClassifier:
    """Return a small tree for which the class weighs as much as all others."""
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    weights = 1 / np.bincount(is_it, minlength=2)[is_it]
    tree = DecisionTreeClassifier(max_depth=_DEPTH, min_samples_leaf=_LEAF, random_state=0, **options)
    return tree.fit(X, is_it, weights, check_input=False)


def balanced(right: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """Return the mean over two classes of the share that is right."""
    return float((right[truth == 0].mean() + right[truth == 1].mean()) / 2)


def _best_shuffle(X: NDArray[np.float32], question: Question, seed: int) -> float:
    """Return the best accuracy where the units have swapped their labels. A unit keeps one label for all its images."""
    import numpy as np

    rng, best = np.random.default_rng(seed), 0.0
    _, first, unit_of = np.unique(question.units, return_index=True, return_inverse=True)
    for _ in range(SHUFFLES):
        shuffled = rng.permutation(question.is_it[first])[unit_of]
        right, scored = _out_of_fold(X, shuffled, question.folds)
        best = max(best, balanced(right, shuffled[scored]))
    return best


def side_of(tell: Tell, question: Question) -> NDArray[np.intp]:
    """Return on which side of the cue each image of a question is: 1 where a tree takes it for one of the class."""
    import numpy as np

    X = tell.cue.values()[question.rows]
    return np.asarray(_grow(X, question.is_it).predict(X))


def cross_table(tell: Tell, question: Question) -> Table:
    """Return how many images of the class and of all others are in each leaf of a tree of few leaves."""
    import numpy as np

    X, names = tell.cue.values()[question.rows], list(tell.cue.columns)
    tree = _grow(X, question.is_it, max_leaf_nodes=_ROWS)
    leaves, divided = tree.apply(X), np.unique(tree.tree_.feature[tree.tree_.feature >= 0])
    rows = []
    for leaf in np.unique(leaves):
        inside = leaves == leaf
        of_class = int(question.is_it[inside].sum())
        ranges = (_range(names[c], X[inside, c], tell.cue) for c in divided)
        rows.append((of_class, (", ".join(ranges), f"{of_class:,}", f"{inside.sum() - of_class:,}")))
    rows.sort(reverse=True)
    return Table([tell.cue.name, tell.label, tell.others], [row for _, row in rows])


def _range(name: str, values: NDArray[np.float32], cue: Cue) -> str:
    """Return in words the values that the images of a leaf have in one column."""
    low, high = float(values.min()), float(values.max())
    if set(cue.columns[name].tolist()) <= {0.0, 1.0}:
        return name if low == 1 else f"not {name}" if high == 0 else "either"
    text = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return text if name == cue.name else f"{name} {text}"
