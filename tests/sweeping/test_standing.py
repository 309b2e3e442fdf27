"""Where the trials stand: of equal trials none is told from the others, and a worse one is."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.evaluation.ranking import CellResult, joint_error, rank
from featstore.evaluation.repeats import Repeats
from featstore.evaluation.units import Units
from featstore.sweeping.scoring import Score
from featstore.sweeping.settings import By
from featstore.sweeping.standing import difference, order, stand
from featstore.sweeping.trials import Trial

N = 300
FOLD = np.arange(N) % 5


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
    found = stand(make_scores([0.9] * 10 + [0.5]), by, Units.single(N), FOLD)
    assert [item.is_tied for item in found] == [True] * 10 + [False]
    assert (found[0].behind, found[-1].trial.settings["C"]) == ((0.0, 0.0, 0.0), 11.0)
    assert all(item.behind.value >= 0 for item in found)


def test_the_interval_of_the_best_allows_for_the_choice() -> None:
    alone = stand(make_scores([0.9]), "log-loss", Units.single(N), FOLD)[0].accuracy_ci95
    among = stand(make_scores([0.9] * 30), "log-loss", Units.single(N), FOLD)
    low, high = among[0].accuracy_ci95
    assert high - low > alone[1] - alone[0]


def test_images_of_one_group_are_one_observation() -> None:
    scores = [score.values("log-loss") for score in make_scores([0.9, 0.8]).values()]
    apart = difference(scores[1], scores[0], "log-loss", Units.single(N), FOLD)
    together = difference(scores[1], scores[0], "log-loss", Units(np.sort(np.arange(N) % 10).astype(str)), FOLD)
    assert together.value == apart.value
    assert together.high - together.low != apart.high - apart.low
    assert difference(scores[1], scores[0], "log-loss", Units(["one"] * N), FOLD).low == -np.inf


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


@pytest.mark.parametrize("units", [Units.single(N), Units((np.arange(N) // 3).astype(str))])
def test_intervals_are_those_of_a_comparison_in_folds(units: Units) -> None:
    """`compare --folds` ranks the same answers in the same folds, and allows for the training images they share."""
    scores = make_scores([0.93, 0.9, 0.88, 0.6])
    found = stand(scores, "accuracy", units, FOLD)
    cells = [
        CellResult(
            {"head": str(item.trial.settings["C"])},
            item.score.right.astype(float),
            item.log_loss,
            Repeats(item.score.right[None].astype(float), FOLD[None]),
        )
        for item in found
    ]
    ranked = rank(cells, units, joint_error(cells, units))
    assert [cell.position for cell in ranked] == [0, 1, 2, 3]
    for item, cell in zip(found, ranked, strict=True):
        value, low, high = cell.difference_to_best
        assert item.accuracy_ci95 == pytest.approx(cell.accuracy_ci95)
        assert item.behind == pytest.approx((-value, -high, -low))


def test_folds_that_vary_more_than_their_images_explain_make_intervals_wider() -> None:
    """In log loss too: training itself varies then, and more images would not help."""
    [best, other] = [score.values("log-loss") for score in make_scores([0.9, 0.9]).values()]
    other = other + np.where(FOLD == 0, 0.5, -0.125)
    together, apart = (difference(other, best, "log-loss", Units.single(N), fold) for fold in (FOLD * 0, FOLD))
    assert together.value == apart.value
    assert together.high - together.low < 0.7 * (apart.high - apart.low)
