"""Class weights: their forms, and the weight of each class that they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from featstore.errors import UsageError
from featstore.heads.class_weights import weights_of_classes
from featstore.heads.registry import make_head

TARGETS = np.array([0, 0, 0, 1, 2, 2])


def test_balanced_is_that_of_scikit_learn() -> None:
    """Each class has the same sum of weights, and all rows together their number."""
    found = weights_of_classes("balanced", TARGETS, "abc")
    assert found == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=TARGETS))


def test_weights_by_name() -> None:
    """A class that is not named has 1; a name that no class has is refused, with the one that was meant."""
    classes = ("cat", "dog", "horse")
    assert weights_of_classes({"horse": 3}, TARGETS, classes).tolist() == [1, 1, 3]  # type: ignore[union-attr]
    assert weights_of_classes(None, TARGETS, classes) is None
    with pytest.raises(UsageError, match="'hors': did you mean horse"):
        weights_of_classes({"hors": 3}, TARGETS, classes)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("balanced", "balanced"),
        ("Balanced", "balanced"),
        ("none", None),
        ("cat=2", {"cat": 2.0}),
        ("a=b=2, dog=0.5", {"a=b": 2.0, "dog": 0.5}),
    ],
)
def test_they_are_read_from_text(text: str, value: Any) -> None:
    """A name may have an equals sign."""
    assert make_head("mlp", {"class_weights": text}).class_weights == value  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["cat", "cat=", "cat=-1", "cat=0", "cat=nan", "cat=1,cat=2", {}, {"cat": "2"}, 3])
def test_other_values_are_refused(value: Any) -> None:
    """A weight is a number above 0, and no class is named twice."""
    with pytest.raises(UsageError, match="class_weights=.*: expected balanced, or NAME=WEIGHT"):
        make_head("mlp", {"class_weights": value})
