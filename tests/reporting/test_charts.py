"""Charts are pictures with a name, a description and the same figures as a table; names in them are text."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from featstore.evaluation.reliability import Bin, Reliability
from featstore.heads.interface import Curve
from featstore.reporting.charts import learning_chart, range_axis, range_bar, reliability_chart, training_charts
from featstore.reporting.svg import Chart
from helpers.report_content import make_content


def elements(chart: Chart, name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(chart.svg).iter(name))


def points_of(chart: Chart, kind: str) -> list[list[tuple[float, float]]]:
    """The lines of a kind, as places."""
    lines = [line for line in elements(chart, "polyline") if str(line.get("class")).split()[1:] == kind.split()]
    return [[tuple(map(float, pair.split(","))) for pair in str(line.get("points")).split()] for line in lines]  # type: ignore[misc]


def curve(**series: list[float]) -> Curve:
    return Curve("epoch", [float(k) for k in range(1, 1 + len(next(iter(series.values()))))], series)


def test_a_chart_says_what_it_shows_and_what_was_kept() -> None:
    chart, _ = training_charts("c", curve(loss=[0.9, 0.5], val_loss=[0.8, 0.6], accuracy=[0.5, 0.75]))
    [title], [description] = elements(chart, "title"), elements(chart, "desc")
    assert title.text == "log loss over epoch"
    assert description.text == "validation loss is 0.600 at epoch 2, which was kept."
    assert ElementTree.fromstring(chart.svg).get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_its_table_has_every_point() -> None:
    chart, _ = training_charts("c", curve(loss=[0.9, 0.5], val_loss=[0.8, 0.6], accuracy=[0.5, 0.75]))
    assert chart.table.header == ("epoch", "training loss", "validation loss")
    assert chart.table.rows == [["1", "0.900", "0.800"], ["2", "0.500", "0.600"]]


def test_a_line_has_a_gap_where_a_value_is_no_number() -> None:
    chart, *none = training_charts("c", curve(loss=[0.9, math.nan, 0.5, 0.4]))
    assert not none
    lines = points_of(chart, "s1 dashed")
    assert [len(line) for line in lines] == [1, 2]


def test_one_epoch_is_a_dot_in_the_middle() -> None:
    chart, *_ = training_charts("c", curve(loss=[0.5]))
    [place] = {(dot.get("cx"), dot.get("cy")) for dot in elements(chart, "circle")}
    assert place == ("240", "124")


def test_a_series_without_a_single_number_has_no_chart() -> None:
    assert training_charts("c", curve(loss=[math.nan, math.inf])) == []


def test_names_are_text() -> None:
    chart, *_ = training_charts("c", Curve('<b>"&', [1.0, 2.0], {"loss": [0.5, 0.4]}))
    assert [text.text for text in elements(chart, "text")].count('<b>"&') == 1
    assert "<b>" not in chart.svg


def test_reliability_is_drawn_where_its_figures_are() -> None:
    bins = (
        Bin(n=20, probability=0.6, accuracy=0.5, accuracy_ci95=(0.3, 0.7)),
        Bin(n=20, probability=0.9, accuracy=1.0, accuracy_ci95=(0.84, 1.0)),
    )
    chart = reliability_chart("r", Reliability(calibration_error=0.1, calibration_error_ci95=(0.0, 0.2), curve=bins))
    [ideal], [line] = (
        points_of(chart, "ideal"),
        [line for line in points_of(chart, "s0") if line[0][0] != line[1][0]][:1],
    )
    (left, bottom), (right, top) = ideal
    expected = [
        (left + (p - 0.3) / 0.7 * (right - left), bottom + (a - 0.3) / 0.7 * (top - bottom))
        for p, a in ((0.6, 0.5), (0.9, 1.0))
    ]
    assert line == [pytest.approx(place, abs=0.06) for place in expected]
    assert chart.table.rows[0] == ["20", "0.600", "0.500", "0.300 to 0.700"]


def test_a_law_that_cannot_be_fitted_is_not_drawn() -> None:
    learning = make_content(n=20).content.learning
    assert learning is not None
    heads = {name: curve._replace(fitted=None) for name, curve in learning.heads.items()}
    chart = learning_chart("l", type(learning)(heads, *list(vars(learning).values())[1:]))
    assert points_of(learning_chart("l", learning), "s0 dashed")
    assert not points_of(chart, "s0 dashed")
    assert [name for _, name in chart.keys] == ["logistic", "knn"]
    assert len(chart.table.rows) == sum(len(curve.points) for curve in heads.values())


def test_intervals_in_rows_share_an_axis() -> None:
    axis = range_axis([(0.8, 0.9), (0.7, 0.95)])
    bars = [range_bar(axis, 0.85, ends, 0.85) for ends in ((0.8, 0.9), (0.7, 0.95))]
    dots = [re.findall(r'cx="([\d.]+)"', bar) for bar in bars]
    assert dots[0] == dots[1]
    assert all(0 <= float(x) <= 160 for bar in bars for x in re.findall(r"[ \"]([\d.]+),", bar))
