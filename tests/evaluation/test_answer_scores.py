"""Scores of answers equal those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from featstore.evaluation.answer_scores import macro_f1, matthews
from featstore.evaluation.estimate import Estimate


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 9))
def test_they_are_those_of_scikit_learn(seed: int, n: int, width: int) -> None:
    """Classes without images or without answers among them. Where scikit-learn makes up a 0, there is none."""
    rng = np.random.default_rng(seed)
    truth, answers = rng.integers(0, width, n), rng.integers(0, width, n)
    f1, correlation = macro_f1(answers, truth), matthews(answers, truth)
    assert f1.value == pytest.approx(f1_score(truth, answers, average="macro", zero_division=0.0))
    if len(np.unique(truth)) > 1 and len(np.unique(answers)) > 1:
        assert correlation is not None
        assert correlation.value == pytest.approx(matthews_corrcoef(truth, answers))
    else:
        assert correlation is None


def test_a_class_that_is_never_answered_has_an_f1_of_zero() -> None:
    """Of three images of one class and one of another, all answered with the first: 6/7 and 0."""
    found = macro_f1(np.zeros(4, int), np.array([0, 0, 0, 1]))
    assert found is not None
    assert found.value == pytest.approx(3 / 7)


@pytest.mark.parametrize("score", [macro_f1, matthews])
def test_the_influence_is_the_derivative_by_the_weight_of_an_image(score: type[Estimate]) -> None:
    """An image that counts a little more changes the score by that much."""
    rng = np.random.default_rng(0)
    truth, answers = rng.integers(0, 3, 20), rng.integers(0, 3, 20)
    found = score(answers, truth)
    times = np.full(20, 2000)
    for image in (0, 7):
        more = times + (np.arange(20) == image)
        change = score(answers.repeat(more), truth.repeat(more)).value - found.value
        assert change * 20 * 2000 == pytest.approx(found.influence[image], rel=1e-3)
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)
