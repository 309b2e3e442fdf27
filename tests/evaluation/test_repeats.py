"""Repeated trainings: their spread, and how many images count as one."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.evaluation.intervals import accuracy_interval, wilson_interval
from featstore.evaluation.repeats import Repeats, estimate
from featstore.evaluation.units import Units


def of_folds(*rights: list[float], size: int = 10) -> Repeats:
    """Folds of `size` images, of which these shares are right; a list for each seed."""
    right = [np.concatenate([np.arange(size) < share * size for share in shares]).astype(float) for shares in rights]
    return Repeats(np.array(right), np.tile(np.repeat(np.arange(len(rights[0])), size), (len(rights), 1)))


def test_the_figures_of_two_seeds_and_three_folds() -> None:
    repeats = of_folds([0.5, 0.7, 0.9], [0.6, 0.6, 0.9])
    assert repeats.by_fold == pytest.approx(np.array([[0.5, 0.7, 0.9], [0.6, 0.6, 0.9]]))
    assert repeats.spread_folds == pytest.approx(np.std([0.5, 0.7, 0.9, 0.6, 0.6, 0.9], ddof=1))
    assert repeats.spread_seeds == 0.0  # both 0.7, whatever the last bits say
    found = estimate(repeats, 0.5, Units.single(30), 1.0)
    assert (found.folds, found.seeds, found.n, found.groups) == (3, 2, 30, None)
    assert found.accuracy == pytest.approx(0.7)
    assert found.accuracy_ci95[0] < found.accuracy < found.accuracy_ci95[1]
    assert found.line().startswith("3-fold cross-validation: accuracy 0.700 [0.")
    assert found.line().endswith(
        "on 30 images, log loss 0.500; standard deviation 0.167 over the folds, 0.000 over 2 seeds"
    )


def test_without_folds_an_image_is_an_image() -> None:
    """Seeds add no images, and take none."""
    one = Repeats(np.ones((3, 20)), np.zeros((3, 20), np.intp))
    assert one.effect(Units.single(20)) == 1.0
    assert (one.spread_folds, one.spread_seeds) == (None, 0.0)


def test_heads_that_differ_make_images_count_for_less() -> None:
    """More than chance explains counts in full; where all heads are alike, or all right, a little is allowed for."""
    units = Units.single(50)
    alike, apart, perfect = (of_folds(s).effect(units) for s in ([0.8] * 5, [1.0, 0.4, 1.0, 0.6, 1.0], [1.0] * 5))
    assert 1 <= alike < perfect < apart
    assert perfect == pytest.approx(1 + 0.3 * 16 / 20 * 5 * (1 / 5 + 1 / 4))
    low, _ = accuracy_interval(np.ones(50), units.worth_less(perfect))
    assert low < wilson_interval(50, 50)[0]


def test_many_heads_speak_for_themselves() -> None:
    """Of 60 that vary as their images explain, none of what is usual is left."""
    random = np.random.default_rng(1)
    repeats = Repeats((random.random((12, 100)) < 0.8).astype(float), np.tile(np.arange(100) % 5, (12, 1)))
    assert 1 <= repeats.effect(Units.single(100)) < 1.2


def test_units_can_be_worth_less() -> None:
    """Every interval of them is that of fewer images, with groups and without, and of some of them too."""
    right = np.array([1.0, 0.0] * 10)
    for units in (Units.single(20), Units(np.arange(20) // 4)):
        less = units.worth_less(2.0)
        assert np.diff(accuracy_interval(right, less)) > np.diff(accuracy_interval(right, units))
        assert less.design_effect(right, 0.0, 1.0) == 2 * units.design_effect(right, 0.0, 1.0)
        assert less.of(np.arange(20) < 8).design_effect(right[:8], 0.0, 1.0) >= 2
        assert units.design_effect(right, 0.0, 1.0) < 2 * len(right)
