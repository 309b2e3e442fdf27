"""The intervals of scores: of units, sound at the ends of the scale, and that of the accuracy for an accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featstore.evaluation.answer_scores import macro_f1
from featstore.evaluation.estimate import Estimate, Mean
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.units import Units


def of_mean(values: np.ndarray) -> Estimate:
    return Estimate(float(values.mean()), values - values.mean(), len(values))


@pytest.mark.parametrize("wrong", [0, 1, 10, 50])
def test_that_of_a_share_is_the_score_interval(wrong: int) -> None:
    """Up to the half images at the ends of the scale."""
    right = (np.arange(100) >= wrong).astype(float)
    assert of_mean(right).interval(Units.single(100)) == pytest.approx(accuracy_interval(right), abs=0.01)


def test_the_scale_may_be_any() -> None:
    """A score from -1 to 1 has the interval of its share of the scale."""
    right = (np.arange(60) >= 12).astype(float)
    low, high = of_mean(right).interval(Units.single(60))
    assert of_mean(2 * right - 1).interval(Units.single(60), low=-1.0) == pytest.approx((2 * low - 1, 2 * high - 1))


def test_a_perfect_score_has_an_interval() -> None:
    """A bootstrap would give one of no width. Few images of one class make it wide."""
    truth = np.repeat([0, 1], [190, 10])
    perfect = macro_f1(truth, truth)
    even = macro_f1(np.arange(200) % 2, np.arange(200) % 2)
    assert (perfect.value, perfect.size, even.size) == (1.0, pytest.approx(38), pytest.approx(200))
    low, high = perfect.interval(Units.single(200))
    assert (high, low) == (1.0, pytest.approx(accuracy_interval(np.ones(38))[0], abs=0.01))
    assert even.interval(Units.single(200))[0] == pytest.approx(accuracy_interval(np.ones(200))[0], abs=0.01)


def test_images_of_a_group_count_as_one() -> None:
    """Twenty copies of each image tell no more than one."""
    rng = np.random.default_rng(0)
    truth, answers = rng.integers(0, 2, 40), rng.integers(0, 2, 40)
    single, copied = macro_f1(answers, truth), macro_f1(answers.repeat(20), truth.repeat(20))
    low, high = single.interval(Units.single(40))
    copied_low, copied_high = copied.interval(Units(np.arange(40).repeat(20)))
    assert copied_high - copied_low == pytest.approx(high - low, rel=0.1)  # of units it is estimated
    forgetful = copied.interval(Units.single(800))
    assert forgetful[1] - forgetful[0] < 0.3 * (high - low)


def test_a_mean_of_scores() -> None:
    """Value and influence are means; of no scores there is none."""
    assert Mean().estimate() is None
    mean = Mean()
    for value, influence, size in ((0.5, np.array([1.0, -1.0]), 10.0), (1.0, np.array([0.0, 0.0]), 10.0)):
        mean.add(Estimate(value, influence, size))
    found = mean.estimate()
    assert found is not None
    assert (found.value, found.influence.tolist()) == (0.75, [0.5, -0.5])
    assert math.isclose(found.size, 20)
