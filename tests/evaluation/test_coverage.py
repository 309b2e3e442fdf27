"""The rates of `benchmarks/run.py intervals`, from fewer draws: what intervals hold, and what is claimed wrongly."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from helpers.paths import ROOT

SETS = 1000  # the rates are within 1.4 points, twice their deviation


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import intervals  # type: ignore[import-not-found]

    return intervals


def rates(simulated: ModuleType, measure: str) -> dict[str, float]:
    samples = [*simulated.SINGLE, *simulated.GROUPED]
    return {str(sample): getattr(simulated, measure)(sample, SETS) for sample in samples}


@pytest.mark.parametrize("measure", ["cover_accuracy", "cover_difference"])
def test_intervals_hold_the_truth(simulated: ModuleType, measure: str) -> None:
    """Between 93 and 98 of 100 do, for 30 to 400 images, with groups and without; more if few groups tell little."""
    found = rates(simulated, measure)
    unequal = {str(sample) for sample in simulated.UNEQUAL}
    assert {name: rate for name, rate in found.items() if not rate >= 0.93 - 0.014} == {}
    assert {name: rate for name, rate in found.items() if not rate <= 0.98 + 0.014 and name not in unequal} == {}
    assert 0.94 < np.mean(list(found.values())) < 0.975


def test_intervals_that_forget_groups_do_not(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the simulation is there to see."""
    monkeypatch.setattr(simulated.Sample, "units", property(lambda s: simulated.Units.single(sum(s.sizes))))
    assert simulated.cover_accuracy(simulated.Sample((16,) * 20, 1.0), 200) < 0.6


@pytest.mark.parametrize("seeds", [1, 3])
def test_cross_validated_intervals_hold_the_truth(simulated: ModuleType, seeds: int) -> None:
    """The mean accuracy of the classifiers, and that of others trained alike; shorter than Nadeau and Bengio's."""
    for n in (30, 100):
        once, ours, corrected = simulated.cover_cross_validation(simulated.CrossValidated(n, seeds=seeds), 500)
        assert min(ours.heads, ours.expected) >= 0.95 - 0.02
        assert min(once.heads, once.expected) <= min(ours.heads, ours.expected)
        assert ours.length < corrected.length / (1.4 if seeds == 1 else 1.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["30 images", "400 images", "100 images in groups, 20 of 5, correlation 0.5"])
def test_equal_cells_are_not_told_apart(simulated: ModuleType, name: str) -> None:
    """A grid of 12 equally good cells gets a claim in at most 5 of 100 data sets, and the best is not oversold.

    Of 100 data sets, 10 or more have a claim with a probability of 3 % where the rate is 5 %.
    """
    [sample] = [s for s in [*simulated.SINGLE, *simulated.GROUPED] if str(s) == name]
    claims, held = simulated.judge_equal_cells(sample, 100, grid=(4, 3))
    assert claims < 0.1
    assert held >= 0.93


def test_comparisons_one_by_one_would_tell_them_apart(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the simulation is there to see."""
    monkeypatch.setattr(simulated, "joint_error", lambda cells, units: 0.05)
    claims, _ = simulated.judge_equal_cells(simulated.Sample((1,) * 100), 20, grid=(4, 3))
    assert claims > 0.3


def test_intervals_of_scores_hold_the_truth(simulated: ModuleType) -> None:
    """For a head that is nearly always right too, and for groups, in about 95 of 100 data sets or more."""
    import score_intervals  # type: ignore[import-not-found]

    for test in (score_intervals.TESTS[1], score_intervals.TESTS[7]):  # 30 images; 100 in groups of 5
        rates = score_intervals.cover_scores(test, 200)
        assert {name: rate for name, rate in rates.items() if rate < 0.9} == {}


def test_those_of_a_bootstrap_do_not(simulated: ModuleType) -> None:
    """What the simulation is there to see."""
    import score_intervals

    assert max(score_intervals.cover_bootstrap(score_intervals.TESTS[1], 10).values()) < 0.9
