"""The ensemble of a sweep: taken where heads make different mistakes, and not for less than noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featstore.evaluation.units import Units
from featstore.sweeping.ensemble import best_ensemble, candidates
from featstore.sweeping.settings import By
from featstore.sweeping.trials import Trial

N = 400
FOLD = np.arange(N) % 5
TRUTH = np.arange(N) % 2
MEMBERS = [Trial(0, "logistic", (("C", 0.1),)), Trial(0, "ridge"), Trial(0, "knn")]


def answers(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of the two classes, from the truth and some noise in the logit."""
    odds = np.exp((2 * TRUTH - 1) * 1.5 + noise)
    return np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)


def together(probabilities: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The means of the first one, two and three."""
    return np.stack([np.mean(probabilities[:size], axis=0) for size in range(1, len(probabilities) + 1)])


@pytest.mark.parametrize("by", ["log-loss", "accuracy"])
def test_heads_with_mistakes_of_their_own_are_better_together(by: By) -> None:
    random = np.random.default_rng(0)
    means = together([answers(random.normal(0, 2, N)) for _ in MEMBERS])
    found = best_ensemble(MEMBERS, means, TRUTH, by, Units.single(N), FOLD)
    assert found.members == tuple(MEMBERS)
    assert found.is_better
    assert found.gain.value < 0


def test_heads_with_the_same_mistakes_are_not() -> None:
    """A gain by less than noise is none, and no ensemble is compared with itself."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 2, N)
    alike = [answers(noise + random.normal(0, 0.1, N)) for _ in MEMBERS]
    assert not best_ensemble(MEMBERS, together(alike), TRUTH, "accuracy", Units.single(N), FOLD).is_better
    same = best_ensemble(MEMBERS, together(alike[:1] * 3), TRUTH, "log-loss", Units.single(N), FOLD)
    assert (same.gain.value, same.is_better) == (pytest.approx(0, abs=1e-9), False)


def test_a_worse_member_is_left_out() -> None:
    random = np.random.default_rng(0)
    good = [answers(random.normal(0, 2, N)) for _ in range(2)]
    found = best_ensemble(MEMBERS, together([*good, 1 - good[0]]), TRUTH, "log-loss", Units.single(N), FOLD)
    assert found.members == tuple(MEMBERS[:2])


def test_members_are_the_best_of_each_head_on_the_features_of_the_best() -> None:
    best_first = [MEMBERS[0], Trial(0, "logistic", (("C", 1.0),)), Trial(1, "ridge"), MEMBERS[1], MEMBERS[2]]
    assert candidates(best_first) == MEMBERS
