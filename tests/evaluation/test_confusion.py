"""The confusion of classes equals that of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from featstore.evaluation.confusion import count_confusion
from featstore.evaluation.units import Units


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 9))
def test_counts_and_shares_are_those_of_scikit_learn(seed: int, n: int, width: int) -> None:
    """A share of nothing is None: recall without images, precision without answers."""
    rng = np.random.default_rng(seed)
    truth, probabilities = rng.integers(0, width, n), rng.dirichlet(np.ones(width), n)
    found = count_confusion(probabilities, truth, [f"class {i}" for i in range(width)])
    answers, every = probabilities.argmax(axis=1), list(range(width))
    assert np.array_equal(found.counts, confusion_matrix(truth, answers, labels=every))
    nan = float("nan")
    recalls = recall_score(truth, answers, labels=every, average=None, zero_division=nan)
    precisions = precision_score(truth, answers, labels=every, average=None, zero_division=nan)
    assert [nan if c.found is None else c.found for c in found.per_class] == pytest.approx(recalls, nan_ok=True)
    assert [nan if c.right is None else c.right for c in found.per_class] == pytest.approx(precisions, nan_ok=True)
    assert [(c.n, c.answers) for c in found.per_class] == [((truth == i).sum(), (answers == i).sum()) for i in every]


def test_the_class_that_is_taken_for_another() -> None:
    """It is the one that was answered most often in its place; None if all were right or there are no images."""
    truth, answers = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 2, 2, 1, 1, 1])
    found = count_confusion(np.eye(4)[answers], truth, ["cat", "dog", "emu", "fox"])
    assert [c.taken_for for c in found.per_class] == ["emu", None, None, None]
    assert str(found.table()).splitlines() == [
        "class  n  found   95 % interval  answers  right  most taken for",
        "cat    4  0.250  0.046 to 0.699        1  1.000  emu",
        "dog    2  1.000  0.342 to 1.000        3  0.667",
        "emu    0      -               -        2  0.000",
        "fox    0      -               -        0      -",
    ]


def test_images_of_a_group_count_as_one() -> None:
    """The interval of a class is wider if its images are of a few patients."""
    truth, answers = np.zeros(40, int), np.repeat([0, 1, 0, 0], 10)
    single, grouped = (
        count_confusion(np.eye(2)[answers], truth, ["cat", "dog"], units).per_class[0].found_ci95
        for units in (None, Units(np.repeat(["a", "b", "c", "d"], 10)))
    )
    assert single is not None
    assert grouped is not None
    assert grouped[0] < single[0]
    assert grouped[1] > single[1]
