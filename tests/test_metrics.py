"""Figures against other implementations of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import log_loss

from featstore.evaluation.metrics import evaluate, wilson_interval


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    """As scipy computes it."""
    expected = binomtest(*counts).proportion_ci(method="wilson")
    assert wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_accuracy_and_log_loss() -> None:
    """By hand and by scikit-learn; with five classes or fewer there is no top-5."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
    metrics = evaluate(probabilities, ["a", "a", "b"], ["a", "b", "c"])
    assert (metrics["n"], metrics["accuracy"]) == (3, pytest.approx(2 / 3))
    assert metrics["log_loss"] == pytest.approx(log_loss(["a", "a", "b"], probabilities, labels=["a", "b", "c"]))
    assert "top5" not in metrics


def test_top5_ties_go_to_the_class_named_first() -> None:
    """As in argmax, so that top-5 is never below the accuracy."""
    classes = list("abcdefg")
    assert evaluate(np.full((7, 7), 1 / 7), classes, classes)["top5"] == pytest.approx(5 / 7)
    assert evaluate(np.eye(7) * 0.5 + 0.5 / 7, classes, classes)["top5"] == 1.0


def test_a_certain_mistake_has_a_finite_loss() -> None:
    """A probability of 0 for the truth is clipped."""
    assert np.isfinite(evaluate(np.array([[0.0, 1.0]]), ["a"], ["a", "b"])["log_loss"])
