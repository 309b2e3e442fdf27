"""Paired differences, the ranking and the findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from featstore.comparison import findings
from featstore.evaluation import ranking
from featstore.evaluation.intervals import accuracy_interval, wilson_interval
from featstore.evaluation.paired import Difference, paired_difference
from featstore.evaluation.ranking import CellResult, RankedCell, joint_error
from featstore.evaluation.units import Units


def first_right(n: int, right: int) -> np.ndarray:
    """Return (n,) with 1 in the first `right` places and 0 elsewhere."""
    return (np.arange(n) < right).astype(float)


def cell(right: np.ndarray, log_loss: float = 0.5, **factors: str) -> CellResult:
    return CellResult(factors, right, log_loss)


def rank(cells: Sequence[CellResult]) -> list[RankedCell]:
    units = Units.single(len(cells[0].right))
    return ranking.rank(cells, units, joint_error(cells, units))


def describe_findings(cells: Sequence[CellResult]) -> list[str]:
    units = Units.single(len(cells[0].right))
    return findings.describe_findings(cells, rank(cells), units, joint_error(cells, units))


def test_the_interval_is_that_of_agresti_and_min() -> None:
    """b and c count the images that only one of the two got right; half an image is added to each cell of the table."""
    n, b, c = 100, 12, 3
    one, other = np.ones(n), np.ones(n)
    one[:c], other[c : c + b] = 0, 0
    b1, c1, n1 = b + 0.5, c + 0.5, n + 2
    half = 1.959963984540054 * math.sqrt((b1 + c1) - (b1 - c1) ** 2 / n1) / n1
    found = paired_difference(one, other)
    assert found.value == pytest.approx((b - c) / n)
    assert (found.low, found.high) == pytest.approx(((b1 - c1) / n1 - half, (b1 - c1) / n1 + half))


@pytest.mark.parametrize(("p", "q", "both"), [(0.9, 0.85, 0.8), (0.98, 0.97, 0.96), (0.6, 0.6, 0.4)])
def test_intervals_hold_what_they_promise(p: float, q: float, both: float) -> None:
    """About 95 of 100 intervals contain the true difference on 200 images, also with hardly any disagreement."""
    rng = np.random.default_rng(0)
    cells = rng.multinomial(200, [both, p - both, q - both, 1 - p - q + both], size=2000)
    held = 0
    for a, b, c, _ in cells.tolist():
        one = np.zeros(200)
        other = np.zeros(200)
        one[: a + b] = 1
        other[:a] = 1
        other[a + b : a + b + c] = 1
        found = paired_difference(one, other)
        held += found.low <= p - q <= found.high
    assert 0.94 < held / 2000 < 0.985


def test_repetitions_narrow_the_difference_but_add_no_images() -> None:
    """Shares over several seeds are less noisy; the interval of an accuracy depends on the images only."""
    rng = np.random.default_rng(1)
    one, other = (rng.random((5, 300)) < 0.9 for _ in range(2))
    single = paired_difference(one[0].astype(float), other[0].astype(float))
    mean = paired_difference(one.mean(axis=0), other.mean(axis=0))
    assert mean.high - mean.low < single.high - single.low
    assert accuracy_interval(np.full(300, 0.9)) == pytest.approx(wilson_interval(270, 300))


def test_the_interval_holds_its_figure_and_stays_a_share() -> None:
    """It stays within -1..1 and holds the difference, even where all images favour the same side."""
    found = paired_difference(np.ones(5), np.zeros(5))
    assert found.value == found.high == 1.0
    found = paired_difference(np.zeros(5), np.ones(5))
    assert found.value == found.low == -1.0
    same = paired_difference(np.ones(9), np.ones(9))
    assert same.value == 0
    assert same.low < 0 < same.high


def test_the_ranking_goes_by_accuracy_then_log_loss() -> None:
    """Remaining ties keep the order given; the difference of the best to itself is 0."""
    cells = [
        cell(first_right(10, 5)),
        cell(first_right(10, 8), 0.4),
        cell(first_right(10, 8), 0.3),
        cell(first_right(10, 5)),
    ]
    ranked = rank(cells)
    assert [r.position for r in ranked] == [2, 1, 0, 3]
    assert ranked[0].difference_to_best == Difference(0, 0, 0)
    assert ranked[2].difference_to_best.value == pytest.approx(-0.3)
    assert ranked[2].accuracy_ci95[0] < wilson_interval(5, 10)[0]  # it might have come out best


def test_shares_that_add_up_alike_are_ties() -> None:
    """Their sums may differ in the last bit: the log loss decides, and no difference to the best is above zero."""
    one = np.repeat([1.0, 2 / 3, 1 / 3], [20, 5, 7])
    other = one[::-1].copy()
    cells = [cell(one, 0.4), cell(other, 0.3)] if one.mean() >= other.mean() else [cell(other, 0.4), cell(one, 0.3)]
    assert cells[0].right.mean() > cells[1].right.mean()
    ranked = rank(cells)
    assert [r.position for r in ranked] == [1, 0]
    assert ranked[1].difference_to_best.value <= 0


def test_a_clear_winner_is_called_one() -> None:
    """The difference is in percentage points."""
    cells = [
        cell(first_right(400, 390), preprocess="keras", head="logistic"),
        cell(first_right(400, 268), preprocess="raw", head="logistic"),
    ]
    best, beats = describe_findings(cells)
    assert best.startswith("best: keras: 0.975 [")
    assert best.endswith("] on 400 images; the other cell is significantly worse")
    assert beats == "`keras` beats `raw` by 30.5 points [25.8, 34.9]"


def test_noise_is_not_read_as_a_result() -> None:
    """Two variants that differ by one image of 400 are not significantly different."""
    cells = [cell(first_right(400, 390), preprocess="keras"), cell(first_right(400, 389), preprocess="rescale")]
    best, alike = describe_findings(cells)
    assert best.endswith("; the other cell is not significantly different")
    assert alike == "`keras` and `rescale` are not significantly different on 400 images (0.2 points [-0.4, 0.9])"


def test_factors_are_compared_with_all_others_held_equal() -> None:
    """Each level against the best one, over the cells that agree in the rest; what has no partner has no sentence."""
    accuracy = {"keras": 380, "raw": 300}
    cells = [
        cell(
            first_right(400, accuracy[variant] - (10 if size == "150" else 0)), preprocess=variant, size=size, model="A"
        )
        for variant, size in product(("raw", "keras"), ("150", "224"))
    ]
    cells.append(cell(first_right(400, 200), preprocess="raw", size="64", model="pixels"))
    sentences = describe_findings(cells)
    assert [s.split(" by ")[0] for s in sentences[1:]] == ["`keras` beats `raw`", "size `224` beats `150`"]
    assert "over 2 pairs of cells" in sentences[1]
    assert "pixels" not in " ".join(sentences)


def test_what_depends_on_another_factor_is_not_averaged_away() -> None:
    """The forum's two halves: with a frozen base one variant wins, from scratch the other."""
    cells = [
        cell(first_right(400, 390), preprocess="caffe", head="logistic"),
        cell(first_right(400, 300), preprocess="rescale", head="logistic"),
        cell(first_right(400, 200), preprocess="caffe", head="scratch-cnn"),
        cell(first_right(400, 280), preprocess="rescale", head="scratch-cnn"),
    ]
    sentence = describe_findings(cells)[1]
    assert sentence.startswith("`caffe` against `rescale` depends on the head: better with logistic by 22.5 points [")
    assert ", worse with scratch-cnn by 20.0 points [" in sentence


def disagreeing(leads: dict[tuple[str, str], int]) -> str:
    """Return the sentence on a against b; a leads by the given number of images for each (head, size)."""
    cells = []
    for (head, size), lead in leads.items():
        for level, right in (("a", 200 + lead), ("b", 200)):
            cells.append(cell(first_right(400, right), preprocess=level, head=head, size=size))
    return describe_findings(cells)[1]


def test_the_factor_that_decides_is_named() -> None:
    """The sentence has the mean with each of its levels, and names those without a clear difference."""
    heads = {"logistic": 40, "bn-dropout": 20, "scratch-cnn": -30, "other": 0}
    sentence = disagreeing({(head, size): lead for head, lead in heads.items() for size in ("150", "224")})
    assert sentence.startswith("`a` against `b` depends on the head: better with logistic by 10.0 points [")
    assert "] over 2 pairs of cells, better with bn-dropout by 5.0 points [" in sentence
    assert "] over 2 pairs of cells, worse with scratch-cnn by 7.5 points [" in sentence
    assert sentence.endswith("] over 2 pairs of cells, no clear difference with other")
    sentence = disagreeing({(head, size): 40 if size == "150" else -30 for head in heads for size in ("150", "224")})
    assert sentence.startswith("`a` against `b` depends on the size: better with 150 by 10.0 points")


def test_where_no_single_factor_decides_the_extremes_are_named() -> None:
    """This happens where the better level of one factor depends on the level of another."""
    sentence = disagreeing({("x", "150"): 40, ("x", "224"): -40, ("y", "150"): -30, ("y", "224"): 30})
    assert sentence.startswith("`a` against `b` depends on the rest: better with 150, x by 10.0 points [")
    assert ", worse with 224, x by 10.0 points [" in sentence
    assert "pairs" not in sentence


def test_many_pairs_do_not_disagree_by_chance() -> None:
    """40 pairs without any difference include some that differ in both directions; that is not a dependence."""
    rng = np.random.default_rng(0)
    said, singly = 0, 0
    for _ in range(8):
        right = (rng.random((40, 2, 300)) < 0.7).astype(float)
        apart = [paired_difference(a, b) for a, b in right]
        singly += any(d.low > 0 for d in apart) and any(d.high < 0 for d in apart)
        cells = [cell(right[k, i], preprocess="ab"[i], head=f"head {k}") for k in range(40) for i in range(2)]
        said += "depends" in describe_findings(cells)[1]
    assert singly > 1
    assert said == 0


def first_words(cells: Sequence[CellResult]) -> list[str]:
    return [sentence.split("`")[0] for sentence in describe_findings(cells)]


def test_sentences_come_in_a_fixed_order_and_say_what_is_compared() -> None:
    """Preprocessing first, then what else is known, then the rest; `ten` alone would not say what it is."""
    some = [("rate", "12"), ("head", "pq"), ("views", "xy"), ("size", "34"), ("model", "AB"), ("preprocess", "kr")]
    cells = [
        cell(first_right(200, 150), **dict(zip((name for name, _ in some), levels, strict=True)))
        for levels in product(*(levels for _, levels in some))
    ]
    assert first_words(cells)[1:] == ["", "", "size ", "views ", "", "rate "]
    assert describe_findings(cells)[0].startswith("best: A, k, 3, x, p, rate 1: 0.750 [")
    assert [s.split("`")[1] for s in describe_findings(cells)[1:]] == ["k", "A", "3", "x", "p", "1"]


def test_the_first_sentence_counts_what_is_close() -> None:
    """The number of cells that are as good shows that the first place is not unique."""
    cells = [cell(first_right(400, right), model=f"M{right}") for right in (300, 390, 389, 391)]
    assert describe_findings(cells)[0].endswith("; 2 of 3 other cells are not significantly different")
    assert describe_findings([cells[0], cells[0]._replace(factors={"model": "N"}), cells[1]])[0].endswith(
        "; all 2 other cells are significantly worse"
    )


def test_a_single_cell_is_just_measured() -> None:
    """There is nothing to compare it with."""
    assert describe_findings([cell(first_right(10, 9), model="A")]) == ["accuracy 0.900 [0.596, 0.982] on 10 images"]


def with_bar(cells: Sequence[CellResult], right: np.ndarray) -> list[str]:
    units = Units.single(len(right))
    bar = findings.Bar("cat", right)
    return findings.describe_findings(cells, rank(cells), units, joint_error(cells, units), bar)


def test_nothing_beats_always_giving_the_commonest_class() -> None:
    """Then no cell is said to beat another, though one is worse than the other beyond noise."""
    n = 400
    cells = [cell(first_right(n, 205), preprocess="keras"), cell(first_right(n, 60), preprocess="raw")]
    cat = np.arange(n) % 2 == 0
    found = with_bar(cells, cat.astype(float))
    assert found[0] == "no cell is significantly better than always answering `cat`, 0.500"
    assert found[1].startswith("best: keras: 0.512")
    assert len(found) == 2
    assert any("beats" in line for line in describe_findings(cells))


def test_a_cell_above_the_bar_is_judged_as_before() -> None:
    """The bar adds no sentence."""
    n = 400
    cells = [cell(first_right(n, 390), preprocess="keras"), cell(first_right(n, 300), preprocess="raw")]
    assert with_bar(cells, (np.arange(n) % 2).astype(float)) == describe_findings(cells)


def test_a_very_common_class_is_beaten_image_by_image() -> None:
    """An accuracy of 0.99 on 1,000 images is not clearly above 0.98, but 10 more images are right and none fewer."""
    right = first_right(1000, 990)
    assert accuracy_interval(right)[0] < 0.983
    assert "no cell" not in with_bar([cell(right, preprocess="keras")], first_right(1000, 980))[0]
