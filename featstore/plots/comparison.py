"""The plot of a comparison: accuracies with their intervals, and learning curves of heads that have epochs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from featstore.heads.interface import Curve
from featstore.plots.text import COLOURS, drawable, ignore_missing_glyphs

_STYLES = ("-", "--", ":", "-.")
_ROW = 0.24  # inches
_LETTER = 0.065  # inches, the width of a letter in a label
_MIN_SPAN = 0.1  # of the accuracy axis; a smaller one would magnify noise


def draw_comparison(
    labels: Sequence[str],
    accuracies: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    curves: Sequence[tuple[str, Curve]],
    title: str,
) -> bytes:
    """Return a PNG with one row for each label, the first at the top, and the learning curves below.

    Args:
        labels: (k,) names of the rows.
        accuracies: (k,) from 0 to 1.
        intervals: (k, 2) low and high end of the interval of each accuracy.
        curves: Label and learning curve of each row that was trained in epochs.
        title: Title of the plot.
    """
    from matplotlib.figure import Figure

    top = max(1.2, _ROW * len(labels)) + 0.9
    bottom = max(3.2, 0.19 * len(curves) + 0.6) if curves else 0.0
    width = 6.5 + _LETTER * max(30, *map(len, labels))
    figure = Figure((width, top + bottom), layout="constrained")
    # two subfigures: in one grid, the legend next to the curves would narrow the rows above it too
    parts: Any = figure.subfigures(2, 1, height_ratios=[top, bottom]) if curves else [figure]
    parts[0].suptitle(drawable(title), fontsize=11, parse_math=False)
    _draw_intervals(parts[0].subplots(), labels, accuracies, intervals)
    if curves:
        _draw_curves(parts[1].subplots(), curves)
    image = io.BytesIO()
    with ignore_missing_glyphs():
        figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def _draw_intervals(
    axes: Any, labels: Sequence[str], accuracies: Sequence[float], intervals: Sequence[tuple[float, float]]
) -> None:
    places = range(len(labels))
    below = [a - low for a, (low, _) in zip(accuracies, intervals, strict=True)]
    above = [high - a for a, (_, high) in zip(accuracies, intervals, strict=True)]
    axes.errorbar(accuracies, places, xerr=[below, above], fmt="o", color=COLOURS[0], markersize=4, capsize=2)
    axes.set_yticks(places, [drawable(label) for label in labels], fontsize=8, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(_limits(intervals))
    axes.set_xlabel("accuracy, with its 95 % interval", fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the limits of the axis: all intervals within 0..1, at least `_MIN_SPAN` wide, with room for the dots."""
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    missing = max(0.0, _MIN_SPAN - (high - low)) / 2
    low, high = max(0.0, low - missing), min(1.0, high + missing)
    room = 0.03 * (high - low)
    return low - room, high + room


def _draw_curves(axes: Any, curves: Sequence[tuple[str, Curve]]) -> None:
    lines, names = [], [drawable(label) for label, _ in curves]
    for number, (_, curve) in enumerate(curves):
        name = "val_accuracy" if "val_accuracy" in curve.series else "accuracy"
        style = _STYLES[number // len(COLOURS) % len(_STYLES)]
        colour = COLOURS[number % len(COLOURS)]
        marker = "." if len(curve.x) < 20 else None  # a single epoch has no line
        lines += axes.plot(curve.x, curve.series[name], style, color=colour, linewidth=1.2, marker=marker)
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel("validation accuracy while training", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(lines, names, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # here and above: a dollar sign in a name does not start a formula
