"""The reliability curve equals that of scikit-learn, and chance is taken off the calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from featstore.evaluation.reliability import Reliability, measure_reliability
from featstore.evaluation.units import Units


def measured(sure: np.ndarray, right: np.ndarray, units: Units | None = None) -> Reliability:
    """Return the reliability of answers that are so `sure` (n,), above a half, and `right` or not."""
    probabilities = np.stack([sure, 1 - sure], axis=1)
    found = measure_reliability(probabilities, np.where(right, 0, 1), units or Units.single(len(sure)))
    assert found is not None
    return found


def drawn(n: int, gap: float, rng: np.random.Generator) -> Reliability:
    """Return the reliability of answers that are right as often as they are sure, less `gap`."""
    sure = rng.uniform(0.6, 0.95, n)
    return measured(sure, rng.random(n) < sure - gap)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(20, 500), st.sampled_from([2, 16]))
def test_the_curve_is_that_of_scikit_learn(seed: int, n: int, decimals: int) -> None:
    """Bins of as many answers each, with equal probabilities in the same one."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.51, 1, n).round(decimals)
    right = rng.random(n) < sure
    found = measured(sure, right)
    shares, means = calibration_curve(right, sure, n_bins=min(15, n // 20), strategy="quantile")
    assert [part.accuracy for part in found.curve] == pytest.approx(shares)
    assert [part.probability for part in found.curve] == pytest.approx(means)
    assert sum(part.n for part in found.curve) == n


def test_it_does_not_depend_on_the_order_of_the_images() -> None:
    """Equal probabilities are not divided."""
    rng = np.random.default_rng(0)
    sure, right = rng.uniform(0.6, 1, 300).round(1), rng.random(300) < 0.8
    order = rng.permutation(300)
    assert measured(sure[order], right[order]).calibration_error == pytest.approx(
        measured(sure, right).calibration_error
    )


def test_chance_is_taken_off() -> None:
    """Distances of calibrated answers are chance alone: their mean is 0.06, and the figure less than half of it."""
    rng = np.random.default_rng(0)
    found = [drawn(300, 0.0, rng) for _ in range(50)]
    plain = [sum(p.n / 300 * abs(p.accuracy - p.probability) for p in one.curve) for one in found]
    assert np.mean(plain) > 0.06
    assert np.mean([one.calibration_error for one in found]) < 0.03


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.2])
def test_the_interval_holds_the_distance(gap: float) -> None:
    """In about 95 of 100 data sets; the figure itself is off by little on average."""
    rng = np.random.default_rng(1)
    found = [drawn(400, gap, rng) for _ in range(100)]
    held = [one.calibration_error_ci95[0] <= gap <= one.calibration_error_ci95[1] for one in found]
    assert np.mean(held) >= 0.9
    assert np.mean([one.calibration_error for one in found]) == pytest.approx(gap, abs=0.02)


def test_a_sure_head_that_is_right_is_calibrated() -> None:
    """No mistake is seen and hardly one expected: nothing says that it is too sure, or not sure enough."""
    sure = np.linspace(0.99, 0.9999, 100)
    found = measured(sure, np.ones(100, bool))
    assert found.calibration_error == 0
    assert found.calibration_error_ci95[0] == 0
    assert 0 < found.calibration_error_ci95[1] < 0.05


def test_groups_make_the_interval_wider() -> None:
    """Ten images of a patient that are right or wrong together are one observation."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.6, 1, 40).repeat(10)
    right = (rng.random(40) < 0.6).repeat(10)
    single, grouped = (
        measured(sure, right, units).calibration_error_ci95
        for units in (Units.single(400), Units(np.arange(40).repeat(10)))
    )
    assert grouped[0] < single[0]
    assert grouped[1] > single[1]


def test_few_images_have_no_curve() -> None:
    """Nineteen do not fill a bin."""
    assert measure_reliability(np.full((19, 2), 0.5), np.zeros(19, int), Units.single(19)) is None
