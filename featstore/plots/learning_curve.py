"""The plot of a learning curve: accuracy against images per class, and the law through it a little beyond."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any, NamedTuple

from featstore.plots.files import Kind, render
from featstore.plots.fonts import legible
from featstore.plots.style import COLOURS, GREY, LABEL, LINE, TICK, TITLE
from featstore.plots.text import in_our_style

_TITLE_WIDTH = 85  # letters in a line of the title
_ENTRIES = 4  # in a line of the legend


class CurveLine(NamedTuple):
    """One line of the plot.

    sizes, accuracies, intervals: as measured. law_sizes, law: the fitted accuracies, also at sizes that were not
    measured; empty if there is no law.
    """

    label: str
    sizes: Sequence[float]
    accuracies: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    law_sizes: Sequence[float] = ()
    law: Sequence[float] = ()


def draw_learning_curve(lines: Sequence[CurveLine], title: str, kind: Kind = "png") -> bytes:
    """Return a picture of the curves, with sizes on a logarithmic axis."""
    from matplotlib.figure import Figure

    (title, *labels), fonts = legible([title, *(line.label for line in lines)], "matplotlib")
    with in_our_style(fonts):
        figure = Figure((7.2, 4.6), layout="constrained")
        axes: Any = figure.subplots()
        axes.set_title(fill(title, _TITLE_WIDTH), fontsize=TITLE, parse_math=False)
        for number, (line, label) in enumerate(zip(lines, labels, strict=True)):
            _draw_line(axes, line, label, COLOURS[number % len(COLOURS)], shift=1 + 0.03 * number)
        _draw_axes(axes, sorted({size for line in lines for size in line.sizes}))
        _draw_legend(figure, axes, any(line.law for line in lines))
        return render(figure, kind)


def _draw_line(axes: Any, line: CurveLine, label: str, colour: str, shift: float) -> None:
    """Draw the points with their intervals, a little to the right of those of other lines, and the law."""
    places = [size * shift for size in line.sizes]
    below = [value - low for value, (low, _) in zip(line.accuracies, line.intervals, strict=True)]
    above = [high - value for value, (_, high) in zip(line.accuracies, line.intervals, strict=True)]
    axes.errorbar(
        places, line.accuracies, yerr=[below, above], fmt="o", color=colour, markersize=4, capsize=2, label=label
    )
    if line.law:
        axes.plot(line.law_sizes, line.law, color=colour, linewidth=LINE, linestyle="--")


def _draw_axes(axes: Any, sizes: Sequence[float]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.set_xlabel("training images per class", fontsize=LABEL)
    axes.set_ylabel("accuracy, with its 95 % interval", fontsize=LABEL)
    axes.tick_params(labelsize=TICK)
    axes.grid(alpha=0.3)


def _draw_legend(figure: Any, axes: Any, has_law: bool) -> None:
    """Name the heads below the axes, where no interval can cover them."""
    from matplotlib.lines import Line2D

    handles, names = axes.get_legend_handles_labels()
    if has_law:
        handles.append(Line2D([], [], color=GREY, linewidth=LINE, linestyle="--"))
        names.append("power law")
    legend = figure.legend(
        handles, names, loc="outside lower center", ncols=min(len(names), _ENTRIES), fontsize=TICK, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # here and above: a dollar sign in a name does not start a formula
