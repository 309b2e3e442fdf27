"""Shortcuts: does something other than what the pictures show tell the label?

A head that tells cats from dogs by the quality of their JPEG files is right on these images and wrong on all others. A
small tree is given one cue at a time, and has to tell one class from all others, out of fold. A tree that some shuffle
of the labels equals has told nothing: on few images chance divides well too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.audit.cues import Cue, cues_of
from featstore.audit.findings import Check
from featstore.audit.subject import Subject
from featstore.evaluation.intervals import mean_over_classes_interval
from featstore.evaluation.units import Units
from featstore.heads.folds import Fold, make_folds
from featstore.system.figures import with_interval
from featstore.system.text import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.tree import DecisionTreeClassifier

TITLE = "Shortcuts"
FEWEST, FEWEST_UNITS = 30, 10  # images of a class, and of all others; units that they are in, at least
MOST_CLASSES = 100  # the largest ones: a thousand would take minutes
TOLD = 0.65  # balanced accuracy: 0.5 is chance. Clean photos reach 0.56, and the mildest real shortcut seen 0.79
SHUFFLES = 20  # of the labels: one must beat the tree by chance in less than 1 of 21 cases
_FOLDS, _DEPTH, _LEAF = 5, 3, 0.01
_SIDE = 3000  # images of a class, and of all others, at most: more tell the same
_ALIKE = 0.02  # of balanced accuracy: the plainer cue of two is named
_ROWS = 4  # of the cross table
_TOO_FEW = (
    f"not looked for: a class, and all others together, need {FEWEST} images each, "
    f"of {FEWEST_UNITS} different pictures or groups"
)


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


class _Question(NamedTuple):
    """One class against all others. rows: the n images. is_it: 1 for images of the class. units, folds: of these."""

    label: str
    others: str
    rows: NDArray[np.intp]
    is_it: NDArray[np.intp]
    units: NDArray[np.str_]
    folds: list[Fold]


def check_shortcuts(subject: Subject) -> Check:
    """Say which cue tells a class from the others, if any does."""
    places = [place for place, picture in enumerate(subject.labelled) if picture.digest in subject.sketches]
    pictures = [subject.labelled[place] for place in places]
    facts = [subject.sketches[picture.digest].facts for picture in pictures]
    units = [subject.units[place] for place in places]
    questions = _questions([picture.class_name for picture in pictures], units, subject.seed)
    if not questions:
        return Check(name="shortcuts", title=TITLE, weight="note", verdict=_TOO_FEW)
    cues = cues_of(pictures, facts, subject.manifest.source)
    tells = [_tell(cue, questions, subject.seed) for cue in cues]
    return _report(tells, questions, len(pictures))


def _questions(labels: Sequence[str], units: Sequence[str], seed: int) -> list[_Question]:
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
            questions.append(_Question(str(label), others, rows, is_it, of_rows, folds))
    return questions


def _tell(cue: Cue, questions: Sequence[_Question], seed: int) -> Tell:
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


def _measured(cue: Cue, question: _Question) -> Tell:
    right, scored = _out_of_fold(cue.values()[question.rows], question.is_it, question.folds)
    truth = question.is_it[scored]
    ends = mean_over_classes_interval(right, truth, Units(question.units[scored]))
    return Tell(cue, question.label, question.others, _balanced(right, truth), ends, None)


def _out_of_fold(
    X: NDArray[np.float64], is_it: NDArray[np.intp], folds: Sequence[Fold]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return whether the tree is right about each image that it was not grown on, and the rows of these."""
    import numpy as np

    right = [_grow(X[train], is_it[train]).predict(X[held_out]) == is_it[held_out] for train, held_out in folds]
    return np.concatenate(right).astype(float), np.concatenate([held_out for _, held_out in folds])


def _grow(X: NDArray[np.float64], is_it: NDArray[np.intp], **options: int) -> DecisionTreeClassifier:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_depth=_DEPTH, min_samples_leaf=_LEAF, class_weight="balanced", random_state=0, **options
    )
    return tree.fit(X, is_it)


def _balanced(right: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    return float((right[truth == 0].mean() + right[truth == 1].mean()) / 2)


def _best_shuffle(X: NDArray[np.float64], question: _Question, seed: int) -> float:
    """Return the best accuracy where the units have swapped their labels. A unit keeps one label for all its images."""
    import numpy as np

    rng, best = np.random.default_rng(seed), 0.0
    _, first, unit_of = np.unique(question.units, return_index=True, return_inverse=True)
    for _ in range(SHUFFLES):
        shuffled = rng.permutation(question.is_it[first])[unit_of]
        right, scored = _out_of_fold(X, shuffled, question.folds)
        best = max(best, _balanced(right, shuffled[scored]))
    return best


def _report(tells: Sequence[Tell], questions: Sequence[_Question], images: int) -> Check:
    figures: dict[str, Any] = {
        "images": images,
        "classes": len(questions),  # one for two classes
        "shortcut": None,
        "cues": [tell.describe() for tell in tells],
    }
    seen = [tell for tell in tells if tell.is_told and tell.cue.role == "file"]
    if not seen:
        return Check(
            name="shortcuts",
            title=TITLE,
            weight="note" if _of_paths(tells) else "fine",
            verdict=_verdict_without(tells),
            figures=figures,
            table=_overview(tells),
        )
    top = max(tell.accuracy for tell in seen)
    named = next(tell for tell in seen if tell.accuracy >= top - _ALIKE)
    others = [tell.cue.name for tell in seen if tell is not named]
    too = f"; so {'do' if len(others) > 1 else 'does'} {', '.join(others)}" if others else ""
    return Check(
        name="shortcuts",
        title=TITLE,
        weight="alarm",
        verdict=f"{_sentence(named)}{too}: a head may learn this instead of what the pictures show",
        figures=figures | {"shortcut": named.describe()},
        table=_cross_table(named, next(question for question in questions if question.label == named.label)),
        advice="make the files of all classes alike, by their source or by saving them in one way, and train again",
    )


def _sentence(tell: Tell) -> str:
    return (
        f"{tell.cue.name} alone tells {tell.label} from {tell.others} with balanced accuracy "
        f"{with_interval(tell.accuracy, tell.interval)}, 0.5 is chance"
    )


def _of_paths(tells: Sequence[Tell]) -> list[Tell]:
    return [tell for tell in tells if tell.is_told and tell.cue.role == "path"]


def _verdict_without(tells: Sequence[Tell]) -> str:
    files = [tell for tell in tells if tell.cue.role == "file"]
    if not files:
        verdict = "all files are alike in format, size, quality and border, so none of these tells a label"
    else:
        best = max(files, key=lambda tell: tell.accuracy)
        accuracy = with_interval(best.accuracy, best.interval)
        verdict = (
            f"no fact about the files tells a label; the best, {best.cue.name} for {best.label}, "
            f"has a balanced accuracy of {accuracy}, and 0.5 is chance"
        )
    if paths := _of_paths(tells):
        verdict += f". {_sentence(paths[0])}; no network sees it"
    return verdict


def _overview(tells: Sequence[Tell]) -> Table | None:
    rows = [
        (tell.cue.name, tell.label, with_interval(tell.accuracy, tell.interval), "yes" if tell.is_told else "no")
        for tell in tells
    ]
    return Table(["cue", "class it tells best", "balanced accuracy", "tells it"], rows) if rows else None


def _cross_table(tell: Tell, question: _Question) -> Table:
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


def _range(name: str, values: NDArray[np.float64], cue: Cue) -> str:
    """Return in words the values that the images of a leaf have in one column."""
    low, high = float(values.min()), float(values.max())
    if set(cue.columns[name].tolist()) <= {0.0, 1.0}:
        return name if low == 1 else f"not {name}" if high == 0 else "either"
    text = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return text if name == cue.name else f"{name} {text}"
