"""The plot of a comparison: accuracies with their intervals, and learning curves of heads that have epochs."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from featstore.heads.interface import Curve
from featstore.plots.files import Kind, render
from featstore.plots.fonts import legible
from featstore.plots.panels import best_epoch, epoch_ticks
from featstore.plots.style import COLOURS, LABEL, LINE, TICK, TITLE
from featstore.plots.text import in_our_style

_STYLES = ("-", "--", ":", "-.")
_ROW = 0.24  # inches
_LETTER = 0.065  # inches, the width of a letter in a label
_TITLE_WIDTH = 85  # letters in a line of the title
_MIN_SPAN = 0.1  # of the accuracy axis; a smaller one would magnify noise


def draw_comparison(
    labels: Sequence[str],
    accuracies: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    curves: Sequence[Curve | None],
    title: str,
    which: str = "",
    kind: Kind = "png",
) -> bytes:
    """Return a picture with one row for each label, the first at the top, and the learning curves below.

    Args:
        labels: (k,) names of the rows.
        accuracies: (k,) from 0 to 1.
        intervals: (k, 2) low and high end of the interval of each accuracy.
        curves: (k,) learning curve of each row; None where it was not trained in epochs.
        title: Title of the plot.
        which: Which of several fits of a row has its curve here, as in `seed 0`.
        kind: Kind of file.
    """
    from matplotlib.figure import Figure

    (title, *labels), fonts = legible([title, *labels], "matplotlib")
    has_curves = any(curves)
    top = max(1.2, _ROW * len(labels)) + 0.9
    bottom = max(3.2, 0.19 * len(labels) + 0.6) if has_curves else 0.0
    with in_our_style(fonts):
        figure = Figure((6.5 + _LETTER * max(30, *map(len, labels)), top + bottom), layout="constrained")
        # two subfigures: in one grid, the legend next to the curves would narrow the rows above it too
        parts: Any = figure.subfigures(2, 1, height_ratios=[top, bottom]) if has_curves else [figure]
        parts[0].suptitle(fill(title, _TITLE_WIDTH), fontsize=TITLE, parse_math=False)
        _draw_intervals(parts[0].subplots(), labels, accuracies, intervals)
        if has_curves:
            _draw_curves(parts[1].subplots(), labels, curves, which)
        return render(figure, kind)


def _draw_intervals(
    axes: Any, labels: Sequence[str], accuracies: Sequence[float], intervals: Sequence[tuple[float, float]]
) -> None:
    places = range(len(labels))
    below = [a - low for a, (low, _) in zip(accuracies, intervals, strict=True)]
    above = [high - a for a, (_, high) in zip(accuracies, intervals, strict=True)]
    axes.errorbar(accuracies, places, xerr=[below, above], fmt="o", color=COLOURS[0], markersize=4, capsize=2)
    axes.set_yticks(places, labels, fontsize=TICK, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(_limits(intervals))
    axes.set_xlabel("accuracy, with its 95 % interval", fontsize=LABEL)
    axes.tick_params(axis="x", labelsize=TICK)
    axes.grid(axis="x", alpha=0.3)


def _limits(intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the limits of the axis: all intervals within 0..1, at least `_MIN_SPAN` wide, with room for the dots."""
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    missing = max(0.0, _MIN_SPAN - (high - low)) / 2
    low, high = max(0.0, low - missing), min(1.0, high + missing)
    room = 0.03 * (high - low)
    return low - room, high + room


def _draw_curves(axes: Any, labels: Sequence[str], curves: Sequence[Curve | None], which: str) -> None:
    """Draw the curves with a legend in the order of the rows; a row without epochs is in it too, and says so."""
    from matplotlib.lines import Line2D

    lines: list[Any] = []
    drawn = 0
    for curve in curves:
        if curve is None:
            lines.append(Line2D([], [], linestyle=""))
            continue
        values = curve.series["val_accuracy" if "val_accuracy" in curve.series else "accuracy"]
        style, colour = _STYLES[drawn // len(COLOURS) % len(_STYLES)], COLOURS[drawn % len(COLOURS)]
        lines += axes.plot(curve.x, values, style, color=colour, linewidth=LINE)
        best = best_epoch(curve)
        axes.plot(curve.x[best], values[best], "o", color=colour, markersize=5, markeredgecolor="white", zorder=4)
        drawn += 1
    names = [label if curve else f"{label} (no epochs)" for label, curve in zip(labels, curves, strict=True)] + [
        "best epoch, by loss"
    ]
    lines.append(Line2D([], [], linestyle="", marker="o", color="#555555", markersize=5, markeredgecolor="white"))
    axes.set_xticks(epoch_ticks(max((curve.x for curve in curves if curve), key=len), 10))
    axes.set_xlabel("epoch", fontsize=LABEL)
    axes.set_ylabel(f"validation accuracy{f', {which}' if which else ''}", fontsize=LABEL)
    axes.tick_params(labelsize=TICK)
    axes.grid(alpha=0.3)
    legend = axes.legend(lines, names, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # here and above: a dollar sign in a name does not start a formula
