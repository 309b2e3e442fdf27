"""The verdict of a fine-tuning, and the difference in words."""

from __future__ import annotations

import numpy as np

from featstore.evaluation.paired import Difference
from featstore.evaluation.units import Units
from featstore.finetuning.verdict import Verdict, compare_accuracies, contradiction, describe_difference


def probabilities(right: np.ndarray) -> np.ndarray:
    """Return (n, 2) probabilities for images of class 0."""
    return np.stack([right, 1 - right], axis=1).astype(float)


def test_only_a_test_split_shows_a_significant_gain() -> None:
    """The validation split chose the epoch, so a gain on it is no news."""
    n = 100
    before, after = probabilities(np.arange(n) < 50), probabilities(np.arange(n) < 80)
    difference = compare_accuracies(before, after, np.zeros(n, int), Units.single(n))
    assert difference.value == 0.3
    assert describe_difference(difference, n, "test").endswith("on 100 test images: significant")
    assert describe_difference(difference, n, "val").endswith("100 val images that chose the epoch: no fair measure")
    assert describe_difference(difference, n, "train").endswith("images that were trained on: no fair measure")


def test_a_gain_on_the_photos_of_few_patients_is_not_significant() -> None:
    """All images of a group count as one where they change together."""
    patients = Units(np.repeat(np.arange(10), 10).astype(str))
    before, after = probabilities(np.arange(100) < 50), probabilities(np.arange(100) < 80)
    assert not compare_accuracies(before, after, np.zeros(100, int), patients).is_significant


def test_a_recommended_run_that_the_test_split_contradicts() -> None:
    """The validation split chooses; that the test split says otherwise is told."""
    worse, unclear = Difference(-0.017, -0.032, -0.002), Difference(-0.01, -0.03, 0.01)
    recommended, not_recommended = Verdict(True, "it is better"), Verdict(False, "it is not")
    assert contradiction(recommended, worse) == [
        "recommended by the validation split, although the accuracy on test is significantly lower: "
        "-1.7 points [-3.2, -0.2]"
    ]
    assert contradiction(recommended, unclear) == contradiction(recommended, None) == []
    assert contradiction(not_recommended, worse) == []
