"""Sets of classes cover what they promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.evaluation.conformal import classes_in_sets, scores_needed, scores_of, threshold_of
from featstore.evaluation.units import Units


def draw(rng: np.random.Generator, effects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a head that is far too sure, and the classes; a larger effect makes an image harder."""
    truth = rng.integers(0, 4, len(effects))
    logits = rng.normal(0, 2, (len(effects), 4))
    logits[np.arange(len(effects)), truth] += 3 - effects
    odds = np.exp(3 * (logits - logits.max(axis=1, keepdims=True)))
    return odds / odds.sum(axis=1, keepdims=True), truth


def share_covered(p: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    return float(classes_in_sets(p, threshold)[np.arange(len(truth)), truth].mean())


@pytest.mark.parametrize("images, level", [(9, 0.9), (30, 0.9), (200, 0.8), (200, 0.95)])
def test_new_images_are_covered_as_promised(images: int, level: float) -> None:
    """On average over validation splits, and by at most one image in `images` + 1 more."""
    rng = np.random.default_rng(0)
    new = draw(rng, np.zeros(2000))
    thresholds = [threshold_of(scores_of(*draw(rng, np.zeros(images))), level) for _ in range(600)]
    covered = np.array([share_covered(*new, threshold) for threshold in thresholds])
    noise = 3 * (covered.std() / np.sqrt(len(covered)) + np.sqrt(level * (1 - level) / 2000))
    assert level - noise <= covered.mean() <= level + 1 / (images + 1) + noise


def test_an_image_of_a_new_group_is_covered() -> None:
    """Twenty groups, one of which has most of the images, and whose images are hard or easy together."""
    rng, level, sizes = np.random.default_rng(1), 0.8, np.array([200, *[4] * 19])
    groups = Units(np.repeat(np.arange(20), sizes))

    def mean_covered(units: Callable[[], Units | None]) -> float:
        covered = []
        for _ in range(500):
            effects = rng.normal(0, 2.5, 20)
            threshold = threshold_of(scores_of(*draw(rng, effects.repeat(sizes)), units()), level)
            covered.append(share_covered(*draw(rng, rng.normal(0, 2.5, 400)), threshold))
        return float(np.mean(covered))

    assert mean_covered(lambda: groups) >= level
    assert mean_covered(lambda: None) < level - 0.02  # what the weights are for


def test_single_images_have_a_score_each() -> None:
    """1 minus the probability of the right class, rising, rounded up."""
    p = np.array([[0.9, 0.1], [0.25, 0.75], [1 / 3, 2 / 3]])
    scores = scores_of(p, np.array([0, 0, 1]))
    assert scores == pytest.approx((0.1, 1 / 3, 0.75), abs=1e-6)
    assert scores[1] >= 1 / 3
    assert scores_of(p, np.array([0, 0, 1]), Units.single(3)) == scores
    assert scores_of(p, np.array([0, 0, 1]), Units(["a", "a", "b"])) == (scores[1], scores[2])


def test_the_number_that_a_promise_needs() -> None:
    """Is named where there are fewer; with so many the promise can be made."""
    for level, needed in ((0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.999, 999)):
        assert scores_needed(level) == needed
        assert threshold_of([0.1] * needed, level) == 0.1
        with pytest.raises(
            UsageError, match=f"needs {needed} validation images, or groups of them, found {needed - 1}"
        ):
            threshold_of([0.1] * (needed - 1), level)
    with pytest.raises(UsageError, match=r"ask for 0\.88 or less"):
        threshold_of([0.1] * 8, 0.9)
    assert threshold_of([0.1] * 8, 0.88) == 0.1


def test_the_most_probable_class_is_in_every_set() -> None:
    """Where the head is surer of all validation images than of this one, the set would be empty."""
    p = np.array([[0.4, 0.35, 0.25], [0.95, 0.03, 0.02]])
    assert classes_in_sets(p, 0.01).tolist() == [[True, False, False]] * 2
    assert classes_in_sets(p, 0.65).tolist() == [[True, True, False], [True, False, False]]


def test_a_score_at_the_threshold_is_in() -> None:
    """Also where rounding makes 1 - p a little larger."""
    for p in np.random.default_rng(0).random(500):
        row = np.array([[p, 1 - p]])
        [score] = scores_of(row, np.array([0]))
        assert classes_in_sets(row, score)[0, 0]
