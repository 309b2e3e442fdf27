"""Labels that number the classes otherwise than the classifier does.

Such labels are right in themselves, and with any preprocessing the accuracy is that of guessing. So the usual other
ways to number are tried: a table counted from 1, folders sorted as text, classes sorted by name. Where classes have
several images each, any other order is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.base_check.class_index import ClassIndex
from featstore.evaluation.paired import paired_difference
from featstore.evaluation.units import Units

_ERROR = 0.001  # a few orders are tried with each variant, so one of them fits by chance more often than one alone


class Relabelling(NamedTuple):
    """Another way to number the classes, with which the labels fit.

    Attributes:
        how: What the labels seem to be, in words.
        variant: The variant of the preprocessing that it was found with.
        top1: Accuracy of that variant with these labels.
    """

    how: str
    variant: str
    top1: float


def find_relabelling(
    predicted: Mapping[str, NDArray[np.intp]],
    truth: NDArray[np.intp],
    classes: int,
    index: ClassIndex,
    units: Units,
) -> Relabelling | None:
    """Return the other numbering of the labels `truth` (n,) that fits best; None where none fits better than they do.

    predicted: class (n,) that each variant predicts for the images. Labels as they are count with the best of them: a
    wrong variant, such as one with swapped channels, may confuse two classes throughout.
    """
    as_given = max(((answers == truth).astype(float) for answers in predicted.values()), key=np.mean)
    best: Relabelling | None = None
    for variant, answers in predicted.items():
        for how, right in _hits(answers, truth, classes, index):
            is_better = paired_difference(right, as_given, units, _ERROR).low > 0
            if is_better and (best is None or right.mean() > best.top1):
                best = Relabelling(how, variant, float(right.mean()))
    return best


def _hits(
    answers: NDArray[np.intp], truth: NDArray[np.intp], classes: int, index: ClassIndex
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield which answers (n,) are right under each other numbering, with what the labels then seem to be."""
    for how, class_of in _numberings(classes, index):
        yield how, (answers == class_of[truth]).astype(float)
    yield "they number the classes in another order than the classifier does", _hits_of_any_order(answers, truth)


def _numberings(classes: int, index: ClassIndex) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield arrays (classes,) of the class that a label means, -1 for none."""
    numbers = np.arange(classes)
    yield "they are one too high, as if counted from 1", numbers - 1
    yield "they are one too low", np.append(numbers[1:], -1)
    as_text = np.array(sorted(numbers, key=str))
    yield "they seem to be the places of folders sorted as text (0, 1, 10, 100)", as_text
    if index.names:
        by_name = np.array(sorted(numbers, key=lambda number: index.names[number].casefold()))
        yield "they seem to number the classes in the order of their names", by_name


def _hits_of_any_order(answers: NDArray[np.intp], truth: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return which answers (n,) are right under the order that fits the other half of the images best.

    An order that is fitted to the images themselves would always fit: few images of a class are right by chance.
    """
    from scipy.optimize import linear_sum_assignment

    given, said = np.unique(truth, return_inverse=True)[1], np.unique(answers, return_inverse=True)[1]
    half_of = np.empty(len(truth), int)
    half_of[np.argsort(given, kind="stable")] = np.arange(len(truth)) % 2  # each class falls into both halves
    right = np.zeros(len(truth))
    for half in (0, 1):
        fitted = half_of != half
        table = np.zeros((given.max() + 1, said.max() + 1))
        np.add.at(table, (given[fitted], said[fitted]), 1)
        rows, columns = linear_sum_assignment(-table)
        means = np.full(len(table), -1)
        means[rows] = np.where(table[rows, columns] > 0, columns, -1)
        right[~fitted] = means[given[~fitted]] == said[~fitted]
    return right
