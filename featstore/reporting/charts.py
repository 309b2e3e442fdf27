"""The charts of the page: the course of a training, reliability, accuracy by training images, and intervals in rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from featstore.plots.curve import Axis
from featstore.plots.panels import PANELS, best_epoch, epoch_ticks, limits_of, number
from featstore.reporting.svg import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Chart,
    dot,
    drawing,
    element,
    frame,
    label,
    line,
    whisker,
)
from featstore.system.figures import figure, interval
from featstore.system.text import Table

if TYPE_CHECKING:
    from featstore.comparison.learning_result import LearningCurve
    from featstore.evaluation.reliability import Reliability
    from featstore.heads.interface import Curve

_INSET = 12  # from the ends of the panel to the first and last point
_STYLES = ("s0", "s1", "s2", "s3", "s4", "s5", "s6")  # one for each head, as the style sheet knows them
_FEW = 30  # points, below which each has a dot
_RANGE = 160, 18  # width and height of an interval in a row of a table


def training_charts(key: str, curve: Curve) -> list[Chart]:
    """Return a chart of the losses and one of the accuracies over epochs, or over C; what was kept is marked."""
    charts = []
    for panel, title in PANELS.items():
        series = {name: values for name, values in curve.series.items() if name.endswith(panel)}
        if any(math.isfinite(value) for values in series.values() for value in values):
            charts.append(_training_chart(f"{key}-{panel}", title, panel, curve, series))
    return charts


def _training_chart(key: str, title: str, panel: str, curve: Curve, series: dict[str, list[float]]) -> Chart:
    low, high = min(curve.x), max(curve.x)
    if low == high:
        low, high = (low / 10, high * 10) if curve.log_x else (low - 1, high + 1)
    across = Axis(low, high, LEFT + _INSET, RIGHT - _INSET, curve.log_x)
    limits = limits_of(panel, [value for values in series.values() for value in values])
    up = Axis(limits.low, limits.high, BOTTOM, TOP, limits.is_log)
    ticks = [] if curve.log_x else epoch_ticks(curve.x, 7)
    parts = frame(across, up, (curve.x_name, title), ticks)
    kinds = {name: "s0" if _is_held_out(name) else "s1 dashed" for name in series}
    for name, values in series.items():
        kind = kinds[name]
        for points in _finite_parts(across, up, curve.x, values):
            parts.append(line(points, kind))
            parts += [dot(x, y, kind, 2.4) for x, y in points if len(curve.x) < _FEW]
    best = best_epoch(curve)
    kept = next((name for name in series if _is_held_out(name)), next(iter(series)))
    value = series[kept][best]
    at = f"{curve.x_name} {curve.x[best]:g}"
    if math.isfinite(value):
        parts.append(dot(across.place(curve.x[best]), up.place(value), "s0 ring", 5))
    header = (curve.x_name, *map(_series_name, series))
    rows = [
        [f"{x:g}", *(number(value) for value in values)] for x, *values in zip(curve.x, *series.values(), strict=True)
    ]
    description = f"{_series_name(kept)} is {number(value)} at {at}, which was kept."
    name = f"{title} over {curve.x_name}"
    keys = tuple((kind, _series_name(of)) for of, kind in kinds.items())
    return Chart(name, drawing(key, name, description, parts), Table(header, rows), keys)


def _series_name(name: str) -> str:
    """Return `validation loss` for val_loss and so on."""
    held_out = {"val": "validation", "cv": "cross-validation"}
    prefix, _, rest = name.partition("_")
    text = f"{held_out[prefix]} {rest}" if prefix in held_out else f"training {name}"
    return text.replace("_", " ")


def _is_held_out(name: str) -> bool:
    return name.startswith(("val_", "cv_"))


def _finite_parts(
    across: Axis, up: Axis, x: Sequence[float], values: Sequence[float]
) -> Iterator[list[tuple[float, float]]]:
    """Yield the parts of a line between the values that are not finite."""
    points = [(across.place(a), up.place(b)) for a, b in zip(x, values, strict=True)]
    for is_finite, some in groupby(points, key=lambda point: math.isfinite(point[1])):
        if is_finite:
            yield list(some)


def reliability_chart(key: str, reliability: Reliability) -> Chart:
    """Return the share of right answers over how sure they were, a dot with its interval for each bin."""
    curve = reliability.curve
    least = min(min(part.probability, part.accuracy_ci95[0]) for part in curve)
    low = min(0.9, max(0.0, math.floor(10 * least) / 10))
    across, up = Axis(low, 1.0, LEFT, RIGHT), Axis(low, 1.0, BOTTOM, TOP)
    parts = frame(across, up, ("probability of the answer", "share that is right"))
    parts.append(line([(LEFT, BOTTOM), (RIGHT, TOP)], "ideal"))
    parts.append(label(LEFT + 10, TOP + 14, "not sure enough", "note"))
    parts.append(label(RIGHT - 8, BOTTOM - 10, "too sure", "note end"))
    points = [(across.place(part.probability), up.place(part.accuracy)) for part in curve]
    parts.append(line(points, "s0"))
    for (x, y), part in zip(points, curve, strict=True):
        low_end, high_end = part.accuracy_ci95
        parts += [whisker(x, (up.place(low_end), up.place(high_end)), "s0"), dot(x, y, "s0")]
    rows = [
        [str(part.n), figure(part.probability), figure(part.accuracy), interval(part.accuracy_ci95)] for part in curve
    ]
    table = Table(("answers", "mean probability", "share right", "95 % interval"), rows)
    description = "Dots above the dashed line are answers that were not sure enough, those below it were too sure."
    title = "Reliability of the probabilities"
    return Chart(title, drawing(key, title, description, parts), table)


def learning_chart(key: str, learning: LearningCurve) -> Chart:
    """Return accuracy over training images per class for each head, with the law through the largest sizes."""
    from featstore.comparison.learning_chart import lines_of

    lines = lines_of(learning.heads, learning.more)
    sizes = [size for one in lines for size in (*one.sizes, *one.law_sizes)]
    ends = [end for one in lines for pair in one.intervals for end in pair]
    low = min(0.9, max(0.0, math.floor(20 * min(ends)) / 20))
    first, last = min(sizes), max(sizes)
    if first == last:
        first, last = first / 2, last * 2
    across = Axis(first, last, LEFT + _INSET, RIGHT - _INSET, is_log=True)
    up = Axis(low, 1.0, BOTTOM, TOP)
    ticks = _apart(sorted({size for one in lines for size in one.sizes}), across)
    parts = frame(across, up, ("training images per class", "accuracy"), ticks)
    for place, one in enumerate(lines):
        kind = _STYLES[place % len(_STYLES)]
        shift = 4.0 * place  # so that intervals at one size can be seen
        if one.law:
            law = zip(one.law_sizes, one.law, strict=True)
            parts.append(line([(across.place(size), up.place(value)) for size, value in law], f"{kind} dashed"))
        for size, value, (below, above) in zip(one.sizes, one.accuracies, one.intervals, strict=True):
            x = across.place(size) + shift
            parts += [whisker(x, (up.place(below), up.place(above)), kind), dot(x, up.place(value), kind)]
    points = [point for curve in learning.heads.values() for point in curve.points]
    header = ("head", "per class", "draws", "accuracy", "95 % interval", "sd of draws", "log loss", "fit s")
    table = Table(header, [point.cells() for point in points])
    keys = [(_STYLES[place % len(_STYLES)], one.label) for place, one in enumerate(lines)]
    description = "A dot with its interval for each size."
    if any(one.law for one in lines):
        keys.append(("axis dashed", "power law"))
        description += " The dashed line is the power law through the largest sizes, a little beyond them."
    title = "Accuracy by the number of training images"
    return Chart(title, drawing(key, title, description, parts), table, tuple(keys))


def _apart(ticks: Sequence[float], across: Axis) -> list[float]:
    """Return those of `ticks` whose numbers have room next to each other; the last one always has."""
    kept: list[float] = []
    for value in reversed(ticks):
        if not kept or across.place(kept[-1]) - across.place(value) > 34:
            kept.append(value)
    return kept[::-1]


def range_axis(ends: Sequence[tuple[float, float]]) -> Axis:
    """Return the one axis on which the intervals in the rows of a table are drawn."""
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    room = max((high - low) / 20, 1e-3)
    return Axis(low - room, high + room, 2, _RANGE[0] - 2)


def range_bar(axis: Axis, value: float, ends: tuple[float, float], best: float) -> Markup:
    """Return an interval and its middle as a small picture; a line marks `best`. The figures stand next to it."""
    width, height = _RANGE
    middle = height / 2
    low, high = map(axis.place, ends)
    parts = [
        line([(axis.place(best), 0), (axis.place(best), height)], "best"),
        line([(low, middle), (high, middle)], "s0"),
        dot(axis.place(value), middle, "s0"),
    ]
    return element("svg", *parts, class_="range", viewBox=f"0 0 {width} {height}", aria_hidden="true")
