"""The bar beside an accuracy, and its mean over the classes with an interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score

from featstore.evaluation.intervals import mean_over_classes_interval, wilson_interval
from featstore.evaluation.metrics import compute_metrics
from featstore.evaluation.units import Units

NAMES = [f"class {i}" for i in range(9)]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 9))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_figures_are_those_of_scikit_learn(seed: int, n: int, width: int) -> None:
    """This holds for any labels, also where classes are missing or never answered."""
    rng = np.random.default_rng(seed)
    truth, probabilities = rng.integers(0, width, n), rng.dirichlet(np.ones(width), n)
    metrics = compute_metrics(probabilities, [NAMES[t] for t in truth], NAMES[:width])
    answers, found, present = probabilities.argmax(axis=1), metrics.by_class, np.unique(truth)
    assert found is not None
    assert found.classes == len(present)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, answers))
    recalls = recall_score(truth, answers, labels=present, average=None, zero_division=0)
    missed = present[recalls == 0]
    assert found.never_found == {NAMES[i]: int((truth == i).sum()) for i in missed}
    shares = np.bincount(truth, minlength=width) / n
    assert found.commonest_share == shares.max()
    assert shares[NAMES.index(found.commonest)] == shares.max()
    assert found.frequencies_log_loss == pytest.approx(log_loss(truth, np.tile(shares, (n, 1)), labels=range(width)))
    low, high = found.balanced_accuracy_ci95
    assert 0 <= low <= found.balanced_accuracy <= high <= 1


def test_a_rare_class_that_is_never_found_shows() -> None:
    """An accuracy of 0.98 is that of always answering with the commonest class."""
    truth = np.repeat([0, 1], [98, 2])
    metrics = compute_metrics(np.eye(2)[np.zeros(100, int)], np.array(["common", "rare"])[truth], ["common", "rare"])
    found = metrics.by_class
    assert found is not None
    assert (found.commonest, found.commonest_share, found.balanced_accuracy) == ("common", 0.98, 0.5)
    assert found.never_found == {"rare": 2}
    assert not metrics.beats_commonest
    assert not found.beats_chance


def test_a_few_rare_images_found_beat_the_commonest_class() -> None:
    """The comparison is image by image: 8 right answers more and none fewer are more than noise."""
    truth, answers = np.repeat([0, 1], [980, 20]), np.repeat([0, 1, 0], [980, 8, 12])
    metrics = compute_metrics(np.eye(2)[answers], np.array(["common", "rare"])[truth], ["common", "rare"])
    assert metrics.accuracy_ci95[0] < 0.98
    assert metrics.beats_commonest


def test_a_share_that_was_chosen_is_a_fixed_number() -> None:
    """Eight patients are too few for a comparison image by image, but an accuracy of 0.98 is above 0.5."""
    truth, patients = np.repeat([0, 1], 200), Units(np.repeat(np.arange(8), 50).astype(str))
    answers = np.where(np.arange(400) % 50 < 1, 1 - truth, truth)
    metrics = compute_metrics(np.eye(2)[answers], np.array(["ill", "well"])[truth], ["ill", "well"], patients)
    assert metrics.by_class is not None
    assert metrics.by_class.gain_ci95[0] < 0
    assert metrics.beats_commonest


def test_classes_of_equal_size_have_the_interval_of_the_accuracy_or_a_wider_one() -> None:
    """The mean over such classes is the accuracy."""
    truth = np.repeat([0, 1], 200)
    right = (np.arange(400) % 10 > 0).astype(float)
    low, high = mean_over_classes_interval(right, truth)
    assert low <= wilson_interval(360, 400)[0] < 0.9 < wilson_interval(360, 400)[1] <= high
    assert high - low < 0.07


def test_images_of_a_group_do_not_narrow_the_interval() -> None:
    """Twenty photos of a patient are one observation where they are right or wrong together."""
    truth = np.repeat([0, 1], 100)
    right = np.repeat(np.arange(20) % 4 > 0, 10).astype(float)
    patients = Units(np.repeat(np.arange(20), 10).astype(str))
    low, high = mean_over_classes_interval(right, truth, patients)
    single_low, single_high = mean_over_classes_interval(right, truth)
    assert high - low > 1.8 * (single_high - single_low)


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        ([200, 200], [0.98, 0.98]),
        ([10, 10], [0.9, 0.9]),
        ([58, 2], [0.99, 0.6]),
        ([490, 10], [0.99, 0.5]),
        ([100] * 9 + [2], [0.98] * 9 + [0.5]),
        ([20] * 5, [1, 1, 0.95, 0.6, 0.3]),
        ([1] * 50, [0.5] * 50),
        ([2] * 50, np.linspace(0.2, 1, 50)),
    ],
)
def test_the_interval_holds_the_mean_over_the_classes(sizes: list[int], shares: list[float]) -> None:
    """This holds for a few large classes, many of one image, and one that is rare and difficult."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    held = 0
    for _ in range(400):
        right = (rng.random(len(truth)) < np.repeat(shares, sizes)).astype(float)
        low, high = mean_over_classes_interval(right, truth)
        held += low - 1e-12 <= np.mean(shares) <= high + 1e-12
    assert held / 400 >= 0.92  # three times the deviation of the rate below 0.95
