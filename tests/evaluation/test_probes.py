"""The cost of probes: paired differences that hold together, and what is said of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from featstore.evaluation.metrics import compute_metrics
from featstore.evaluation.paired import paired_difference
from featstore.evaluation.probes import Probing, compare_probes
from featstore.evaluation.units import Units
from featstore.images.probe import PROBES, Probe

CLASSES = ("cats", "dogs")
GREY = Probe("greyscale")


def answers(right: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, 2) probabilities whose answer is right where `right` is 1."""
    chosen = np.where(right == 1, truth, 1 - truth)
    return np.where(np.eye(2)[chosen] == 1, 0.9, 0.1)


def probing(before: np.ndarray, *after: np.ndarray) -> Probing:
    truth = np.arange(len(before)) % 2
    changed = {probe: answers(right, truth) for probe, right in zip(map(Probe, PROBES), after, strict=False)}
    plain = answers(before, truth)
    metrics = compute_metrics(plain, [CLASSES[place] for place in truth], CLASSES)
    return compare_probes("test", metrics, plain, changed, truth, Units.single(len(before)))


def right(n: int, wrong: int, first: int = 0) -> np.ndarray:
    """(n,) 1, but 0 for `wrong` images from `first` on."""
    found = np.ones(n)
    found[first : first + wrong] = 0
    return found


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (right(400, 20), right(400, 80), r"greyscale costs 15\.0 points \[1.*\]: the head leans on colour"),
        (right(400, 20), right(400, 203), "almost all that the head knows hangs on colour"),
        (right(400, 20), right(400, 30), r"greyscale costs 2\.5 points .*: the head uses colour a little"),
        (
            right(400, 20),
            right(400, 20, 10),
            r"greyscale: no effect that could be told; it costs \d.\d points at most",
        ),
        (right(400, 60), right(400, 30), r"greyscale gains 7\.5 points .*: the head does better without colour"),
        (right(400, 195), right(400, 205), "nothing can be said, since the accuracy without it cannot be told from"),
    ],
)
def test_what_is_said(before: np.ndarray, after: np.ndarray, says: str) -> None:
    """Of a loss that is not significant, how large it may be; of one that is, how much of the knowledge it takes."""
    [effect] = probing(before, after).effects
    assert re.search(says, effect.verdict), effect.verdict


def test_figures_are_those_of_the_same_images() -> None:
    """One probe has the paired interval; accuracy and answers that stay are counted."""
    before, after = right(100, 10), right(100, 20, 5)
    [effect] = probing(before, after).effects
    assert effect.accuracy == 0.8
    assert effect.difference == paired_difference(after, before)
    assert effect.same_answers == 0.8  # 5 images that were wrong, and 15 that are now, have other answers
    assert effect.describe()["difference"]["value"] == pytest.approx(-0.1)
    table = probing(before, after).table()
    assert [row[0] for row in table.rows] == ["as they are", "greyscale"]


def test_intervals_of_several_hold_together() -> None:
    """The more is asked, the wider: by chance one of five would be found every fourth time."""
    rng = np.random.default_rng(0)
    before = right(200, 20)
    after = [np.where(rng.random(200) < 0.1, 1 - before, before) for _ in PROBES]
    [one] = probing(before, after[0]).effects
    first, *_ = probing(before, *after).effects
    assert first.difference.value == one.difference.value
    assert first.difference.low < one.difference.low
    assert first.difference.high > one.difference.high


def test_probes_without_an_effect_are_found_in_one_of_twenty_data_sets_at_most() -> None:
    """Answers that change by chance alone, as often from right to wrong as back: five probes, 200 data sets."""
    rng = np.random.default_rng(1)
    claims = 0
    for _ in range(200):
        ability = rng.beta(4, 1, 150)  # how likely each image is to be right, whatever is done to it
        before, *after = (rng.random((6, 150)) < ability).astype(float)
        claims += any(effect.difference.is_significant for effect in probing(before, *after).effects)
    assert claims <= 15  # 0.05 * 200 and two standard errors
