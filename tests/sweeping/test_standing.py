"""Where the trials stand: of equal trials none is told from the others, and a worse one is."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.evaluation.units import Units
from featstore.sweeping.scoring import Score
from featstore.sweeping.settings import By
from featstore.sweeping.standing import mean_difference, order, stand
from featstore.sweeping.trials import Trial

N = 300


def make_scores(rates: list[float], seed: int = 0) -> dict[Trial, Score]:
    """Trials that are right at the given rates, on images that are alike in difficulty for all."""
    random = np.random.default_rng(seed)
    hard = random.random(N)
    scores = {}
    for number, rate in enumerate(rates):
        right = hard + 0.1 * random.random(N) < rate
        losses = np.where(right, 0.1, 2.0) + 0.05 * random.random(N)
        scores[Trial(0, "logistic", (("C", float(number + 1)),))] = Score(losses.astype(np.float32), right, 1.0)
    return scores


@pytest.mark.parametrize("by", ["log-loss", "accuracy"])
def test_equal_trials_are_not_told_apart_and_a_worse_one_is(by: By) -> None:
    found = stand(make_scores([0.9] * 10 + [0.5]), by, Units.single(N))
    assert [item.is_tied for item in found] == [True] * 10 + [False]
    assert (found[0].behind, found[-1].trial.settings["C"]) == ((0.0, 0.0, 0.0), 11.0)
    assert all(item.behind.value >= 0 for item in found)


def test_the_interval_of_the_best_allows_for_the_choice() -> None:
    alone = stand(make_scores([0.9]), "log-loss", Units.single(N))[0].accuracy_ci95
    among = stand(make_scores([0.9] * 30), "log-loss", Units.single(N))
    low, high = among[0].accuracy_ci95
    assert high - low > alone[1] - alone[0]


def test_images_of_one_group_are_one_observation() -> None:
    scores = [score.values("log-loss") for score in make_scores([0.9, 0.8]).values()]
    apart = mean_difference(scores[1], scores[0], Units.single(N))
    together = mean_difference(scores[1], scores[0], Units(np.sort(np.arange(N) % 10).astype(str)))
    assert together.value == apart.value
    assert together.high - together.low != apart.high - apart.low
    assert mean_difference(scores[1], scores[0], Units(["one"] * N)).low == -np.inf


def test_what_was_not_finished_has_no_place() -> None:
    scores = make_scores([0.9, 0.8, 0.7])
    names = list(scores)
    scores[names[0]] = scores[names[0]]._replace(behind=True)
    scores[names[1]] = scores[names[1]]._replace(failed="it diverged")
    assert order(scores, "log-loss") == [names[2]]


def test_the_order_does_not_depend_on_which_process_was_first() -> None:
    scores = make_scores([0.9, 0.8])
    twins = {**scores, Trial(1, "logistic"): next(iter(scores.values()))}
    assert order(twins, "log-loss") == order(dict(reversed(twins.items())), "log-loss")
