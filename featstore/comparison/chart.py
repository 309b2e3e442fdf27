"""The chart of a comparison: its rows in their order, and the learning curves of those that have epochs."""

from __future__ import annotations

import os

from featstore.comparison.grid import Measurement
from featstore.comparison.result import Comparison
from featstore.objects.urls import absolute
from featstore.plots.files import Kind


def draw_chart(comparison: Comparison, data: str, measurement: Measurement, kind: Kind = "png") -> bytes:
    """Return the chart as a picture of this `kind`; `data` is the path that was compared on."""
    from featstore.plots.comparison import draw_comparison

    rows = comparison.rows
    of_many = [f"seed {measurement.seed}"] * (measurement.seeds > 1) + ["first fold"] * bool(measurement.folds)
    shared = "".join(f", {words}" for words in comparison.shared)
    return draw_comparison(
        [row.name for row in rows],
        [row.accuracy for row in rows],
        [row.accuracy_ci95 for row in rows],
        [comparison.curves.get(row.cell) for row in rows],
        f"{os.path.basename(absolute(data))}: accuracy on {comparison.split}, {rows[0].n} images{shared}",
        ", ".join(of_many),
        kind,
    )
