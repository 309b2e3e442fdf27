"""Class weights: what the parameter may be, and the weight of each class that it means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from featstore.errors import UsageError
from featstore.system.fields import check_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BALANCED = "balanced"


class ClassWeights:
    """The range of the parameter: `balanced`, or weights by the names of classes."""

    def __str__(self) -> str:
        return "balanced, or NAME=WEIGHT pairs with commas between, as in cat=2,dog=0.5"

    def holds(self, value: object) -> bool:
        if isinstance(value, Mapping):
            return bool(value) and all(isinstance(w, int | float) and 0 < w < math.inf for w in value.values())
        return value == BALANCED

    def parse(self, text: str) -> str | dict[str, float]:
        """Return what `text` says; raises ValueError for a pair without a number."""
        if text.strip().lower() == BALANCED:
            return BALANCED
        pairs = [part.rpartition("=") for part in text.split(",")]
        if len({name.strip() for name, _, _ in pairs}) < len(pairs):
            raise ValueError("a class is named twice")
        return {name.strip(): float(weight) for name, _, weight in pairs}

    def settle(self, value: object) -> object:
        return value


def weights_of_classes(
    given: str | Mapping[str, float] | None, targets: NDArray[np.intp], classes: Sequence[str]
) -> NDArray[np.float32] | None:
    """Return the weight of each of `classes` (classes,), None if all are alike; raises UsageError for an unknown name.

    targets: the class (n,) of each training row. `balanced` gives each class the same sum of weights, and n in all. A
    class that is not named has the weight 1.
    """
    import numpy as np

    if given is None:
        return None
    if isinstance(given, Mapping):
        check_names("class in class_weights", given, classes)
        return np.array([given.get(name, 1.0) for name in classes], np.float32)
    counts = np.bincount(targets, minlength=len(classes))
    if not counts.all():
        raise UsageError("class_weights=balanced: a class has no training row")
    return (len(targets) / (len(classes) * counts)).astype(np.float32)
