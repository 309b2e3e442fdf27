"""A comparison as a picture: accuracies with their intervals, and the learning curves of heads that have epochs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from featstore.heads.base import Curve

# Okabe & Ito's colours, which can be told apart by the colour-blind; black is for axes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
_STYLES = ("-", "--", ":", "-.")
_ROW = 0.24  # inches


def comparison_chart(
    labels: Sequence[str],
    accuracies: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    curves: Mapping[str, Curve],
    title: str,
) -> bytes:
    """PNG: one row for each of `labels`, the first at the top; below, the held-out accuracy of `curves` by epoch."""
    from matplotlib.figure import Figure

    top = max(1.2, _ROW * len(labels)) + 0.9
    bottom = max(3.2, 0.19 * len(curves) + 0.6) if curves else 0.0
    figure = Figure((9.5, top + bottom), layout="constrained")
    heights = [top, bottom] if curves else [top]
    panels = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    figure.suptitle(title, fontsize=11)
    _draw_intervals(panels[0], labels, accuracies, intervals)
    if curves:
        _draw_curves(panels[1], curves)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def _draw_intervals(
    axes: Any, labels: Sequence[str], accuracies: Sequence[float], intervals: Sequence[tuple[float, float]]
) -> None:
    places = range(len(labels))
    below = [a - low for a, (low, _) in zip(accuracies, intervals, strict=True)]
    above = [high - a for a, (_, high) in zip(accuracies, intervals, strict=True)]
    axes.errorbar(accuracies, places, xerr=[below, above], fmt="o", color=_COLOURS[0], markersize=4, capsize=2)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel("accuracy, with its 95 % interval", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_curves(axes: Any, curves: Mapping[str, Curve]) -> None:
    for number, (label, curve) in enumerate(curves.items()):
        name = "val_accuracy" if "val_accuracy" in curve.series else "accuracy"
        style = _STYLES[number // len(_COLOURS) % len(_STYLES)]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(curve.x, curve.series[name], style, color=colour, linewidth=1.2, label=label)
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel("validation accuracy while training", fontsize=9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
