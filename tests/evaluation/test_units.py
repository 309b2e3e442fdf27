"""Units: groups of images that count as one, more or less."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from featstore.evaluation.intervals import accuracy_interval, wilson_interval
from featstore.evaluation.paired import paired_difference
from featstore.evaluation.units import Units

PATIENTS = Units(np.repeat([f"patient {n}" for n in range(20)], 16))


def answers(per_patient: np.ndarray) -> np.ndarray:
    """Return 16 equal answers for each of 20 patients."""
    return np.repeat(per_patient, 16).astype(float)


def test_single_images_are_counted_one_by_one() -> None:
    """Their intervals are those without groups, to the last bit."""
    right = (np.arange(100) < 83).astype(float)
    single = Units.single(100)
    assert single.are_single
    assert single.design_effect(right, 0, 1) == 1
    assert accuracy_interval(right, single) == accuracy_interval(right) == wilson_interval(83, 100)
    assert single.quantile(0.05) == pytest.approx(1.959964)


def test_photos_that_are_right_together_count_as_one() -> None:
    """20 patients whose 16 photos are all right or all wrong are 20 observations, not 320."""
    right = answers(np.arange(20) < 15)
    assert PATIENTS.design_effect(right, 0, 1) == pytest.approx(16, rel=0.01)
    low, high = accuracy_interval(right, PATIENTS)
    assert (low, high) == pytest.approx(wilson_interval(15, 20), abs=0.02)  # Student's t is wider than the normal
    assert high - low > 2.5 * np.diff(wilson_interval(240, 320))


def test_groups_that_do_not_matter_cost_little() -> None:
    """Answers that know nothing of the patient keep nearly all of their weight."""
    right = (np.random.default_rng(0).random(320) < 0.75).astype(float)
    assert 1 <= PATIENTS.design_effect(right, 0, 1) < 1.6


def test_no_mistake_says_nothing_on_groups() -> None:
    """Where all answers are right, as many as there are groups count, at the most."""
    low, high = accuracy_interval(np.ones(320), PATIENTS)
    assert high == 1
    assert low < wilson_interval(20, 20)[0] < wilson_interval(320, 320)[0]


def test_differences_know_groups_too() -> None:
    """Two cells that differ on all photos of some patients differ on few patients."""
    a, b = answers(np.arange(20) < 17), answers(np.arange(20) < 14)
    one_by_one, by_patient = paired_difference(a, b), paired_difference(a, b, PATIENTS)
    assert one_by_one.value == by_patient.value == pytest.approx(0.15)
    assert one_by_one.is_significant
    assert not by_patient.is_significant


def test_totals_are_by_unit() -> None:
    """Also where the images of a unit do not follow each other, and for several columns."""
    units = Units(["b", "a", "b", "c"])
    assert len(units) == 3
    assert (str(units), str(Units.single(4))) == ("4 images in 3 groups", "4 images")
    assert sorted(units.totals(np.array([1.0, 2, 4, 8]))) == [2, 5, 8]
    assert units.totals(np.ones((4, 5))).shape == (3, 5)


def test_errors_and_quantiles_are_inverse() -> None:
    """Normal for single images; Student's t, and wider, for groups."""
    for units in (Units.single(50), PATIENTS):
        assert units.error(units.quantile(0.01)) == pytest.approx(0.01)
    assert PATIENTS.quantile(0.01) > NormalDist().inv_cdf(0.995)
