"""The folds in which a head of scikit-learn chooses its parameters, and finds its temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from featstore.system.environment import default_threads

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]  # the rows to train on, and those held out
Item = TypeVar("Item")
Result = TypeVar("Result")


def make_folds(y: NDArray[np.intp], folds: int, seed: int, groups: NDArray[np.str_] | None) -> list[Fold]:
    """Return at most `folds` folds, with the classes in equal shares where that can be. A group is in one fold.

    There are no more folds than the smallest class has groups. A class of one group is always trained on: to hold it
    out would only show that a class cannot be guessed. The same is true of rows whose class a fold does not train on,
    since their classes share groups. Returns none if fewer than two classes can be divided.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    divisible = divisible_rows(y, groups)
    if not len(divisible):
        return []
    always = np.setdiff1d(np.arange(len(y)), divisible)
    smallest = min(_units_by_class(y, groups)[label] for label in np.unique(y[divisible]))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    parts = kind(min(folds, smallest), shuffle=True, random_state=seed)
    of_divisible = None if groups is None else groups[divisible]
    made = []
    for train, held_out in parts.split(divisible, y[divisible], of_divisible):
        trained, scored = np.sort(np.concatenate([divisible[train], always])), divisible[held_out]
        if groups is not None:  # that of a class of one group may have rows of other classes
            trained = trained[~np.isin(groups[trained], groups[scored])]
        scored = scored[np.isin(y[scored], y[trained])]
        if len(np.unique(y[trained])) > 1 and len(scored):
            made.append((trained, scored))
    return made


def divisible_rows(y: NDArray[np.intp], groups: NDArray[np.str_] | None) -> NDArray[np.intp]:
    """Return the rows of the classes that have two groups or more; none if there is at most one such class."""
    several = [label for label, count in _units_by_class(y, groups).items() if count > 1]
    return np.flatnonzero(np.isin(y, several if len(several) > 1 else []))


def unit_rows(groups: NDArray[np.str_]) -> list[NDArray[np.intp]]:
    """Return the rows of each group."""
    places = np.unique(groups, return_inverse=True)[1]
    return np.split(np.argsort(places, kind="stable"), np.cumsum(np.bincount(places))[:-1])


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the result of `function` for each of `items`, computed side by side."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(items), default_threads())) as threads:
        return list(threads.map(function, items))


def _units_by_class(y: NDArray[np.intp], groups: NDArray[np.str_] | None) -> dict[int, int]:
    """Return for each class the number of its groups."""
    units = np.arange(len(y)) if groups is None else groups
    return {int(label): len(np.unique(units[y == label])) for label in np.unique(y)}
