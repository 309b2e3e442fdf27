"""Metrics equal those of other implementations."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, log_loss

from featstore.evaluation.intervals import wilson_interval
from featstore.evaluation.metrics import Metrics, compute_metrics
from featstore.system.records import read_record

CLASSES = list("abcdefg")


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.sampled_from([0, n]) | st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    """It equals that of scipy, contains the proportion and stays within 0..1."""
    expected = binomtest(*counts).proportion_ci(method="wilson")
    low, high = wilson_interval(*counts)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_the_interval_by_hand() -> None:
    """8 of 10: 0.4902 to 0.9433 (Wilson 1927); certain ends are exact."""
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=5e-5)
    assert wilson_interval(0, 5)[0] == 0.0
    assert wilson_interval(5, 5)[1] == 1.0


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 9))
def test_figures_are_those_of_scikit_learn(seed: int, n: int, width: int) -> None:
    """Accuracy, its interval and log loss of any probabilities, in float32 as in float64."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(width), n) * 0.99 + 0.01 / width
    classes = [f"class {i}" for i in range(width)]
    labels = rng.choice(classes, n)
    expected = log_loss(labels, probabilities, labels=classes)
    right = accuracy_score(labels, np.array(classes)[probabilities.argmax(axis=1)])
    metrics = compute_metrics(probabilities, labels, classes)
    assert metrics.n == n
    assert metrics.accuracy == pytest.approx(right)
    assert metrics.accuracy_ci95 == wilson_interval(round(right * n), n)
    assert metrics.log_loss == pytest.approx(expected)
    assert compute_metrics(probabilities.astype(np.float32), labels, classes).log_loss == pytest.approx(
        expected, rel=1e-4
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 12))
def test_top5_is_a_place_among_the_five_most_probable(seed: int, width: int) -> None:
    """Counted one by one."""
    rng = np.random.default_rng(seed)
    probabilities, truth = rng.random((20, width)), rng.integers(0, width, 20)
    classes = [f"class {i:02}" for i in range(width)]
    among = [sum(p > row[t] for p in row) < 5 for row, t in zip(probabilities, truth, strict=True)]
    assert compute_metrics(probabilities, [classes[t] for t in truth], classes).top5 == pytest.approx(np.mean(among))


def test_top5_is_given_only_where_it_says_something() -> None:
    """Five classes are always all among the first five."""
    assert compute_metrics(np.eye(5), CLASSES[:5], CLASSES[:5]).top5 is None
    assert compute_metrics(np.eye(6), CLASSES[:6], CLASSES[:6]).top5 == 1.0


def test_top5_ties_go_to_the_class_named_first() -> None:
    """This is as in argmax, so top-5 is never below the accuracy."""
    many = [f"class {i:02}" for i in range(40)]
    metrics = compute_metrics(np.full((40, 40), 1 / 40), many, many)
    assert (metrics.accuracy, metrics.top5) == (1 / 40, 5 / 40)
    assert compute_metrics(np.eye(7) * 0.5 + 0.5 / 7, CLASSES, CLASSES).top5 == 1.0


def test_columns_are_in_the_order_of_the_classes() -> None:
    """Neither the order nor the container of the labels matters."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert compute_metrics(probabilities, ["z", "a"], ["z", "a"]).accuracy == 1.0
    assert compute_metrics(probabilities, np.array(["a", "z"]), ["z", "a"]).accuracy == 0.0


def test_a_certain_mistake_has_a_finite_loss() -> None:
    """It is exact for any probability; that of 0 counts as the smallest number of float64."""
    for probability, loss in ((1e-20, -np.log(1e-20)), (1e-300, -np.log(1e-300)), (0.0, 708.396)):
        found = compute_metrics(np.array([[probability, 1 - probability]]), ["a"], ["a", "b"]).log_loss
        assert found == pytest.approx(loss)


def test_all_metrics_are_plain_numbers_of_json() -> None:
    """They come back from JSON as they were, with None where there is no number."""
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(7), 50), [*CLASSES, *rng.choice(CLASSES, 43)]
    metrics = compute_metrics(probabilities, labels, CLASSES)
    described = metrics.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert read_record(Metrics, described) == metrics
    assert [sum(row) for row in described["confusion"]] == [row["n"] for row in described["per_class"]]
    assert described["top5_ci95"][0] < described["top5"] < described["top5_ci95"][1]


def test_one_class_has_no_scores_of_ranks() -> None:
    """Nothing can be ranked below it, and no number is made up."""
    metrics = compute_metrics(np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "a"], ["a", "b"])
    assert metrics.scores is not None
    assert (metrics.scores.auroc, metrics.scores.average_precision, metrics.scores.matthews) == (None, None, None)
    assert (metrics.scores.auroc_ci95, metrics.reliability, metrics.log_loss_ci95) == (None, None, None)
    json.dumps(metrics.describe(), allow_nan=False)


def test_a_large_confusion_matrix_is_left_out() -> None:
    """Of 51 classes it has 2,601 numbers; the figures of each class and the worst pairs are kept."""
    many = [f"class {i:02}" for i in range(51)]
    metrics = compute_metrics(np.roll(np.eye(51), 1, axis=0), many, many)
    assert metrics.confusion is None
    assert metrics.per_class is not None
    assert metrics.confused is not None
    assert (len(metrics.per_class), len(metrics.confused)) == (51, 10)


def test_intervals_of_scores_hold_their_scores() -> None:
    """For any answers, near the ends of the scale as well."""
    rng = np.random.default_rng(0)
    for sharp in (0, 1, 4, 50):
        truth = rng.integers(0, 3, 60)
        odds = np.exp(rng.normal(size=(60, 3)) + sharp * np.eye(3)[truth])
        metrics = compute_metrics(odds / odds.sum(axis=1, keepdims=True), [CLASSES[t] for t in truth], CLASSES[:3])
        assert metrics.scores is not None
        scores = asdict(metrics.scores)
        for name in ("macro_f1", "matthews", "auroc", "average_precision", "brier"):
            low, high = scores[f"{name}_ci95"]
            assert low <= scores[name] <= high
            assert high - low > 0.01
