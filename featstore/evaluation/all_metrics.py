"""All metrics as one table. Other commands print a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from featstore.evaluation.metrics import Metrics
from featstore.system.figures import figure
from featstore.system.text import Table

_LIMITS = (-1.0, 0.0, 1.0)


class _Metric(NamedTuple):
    """A metric: its name, the field of `Metrics` that it is in (none for one of its own), and its field there.

    Its interval is in the field of the same name with `_ci95`.
    """

    name: str
    part: str | None
    field: str


_METRICS = (
    _Metric("accuracy", None, "accuracy"),
    _Metric("balanced accuracy", "by_class", "balanced_accuracy"),
    _Metric("macro F1", "scores", "macro_f1"),
    _Metric("Matthews", "scores", "matthews"),
    _Metric("AUROC", "scores", "auroc"),
    _Metric("average precision", "scores", "average_precision"),
    _Metric("top-5", None, "top5"),
    _Metric("log loss", None, "log_loss"),
    _Metric("Brier", "scores", "brier"),
    _Metric("calibration error", "reliability", "calibration_error"),
)


def all_metrics_table(metrics: Mapping[str, Metrics]) -> Table:
    """Return a row for each metric that was measured, and a column for each split, with 95 % intervals."""
    rows = [[metric.name, *(_cell(metric, m) for m in metrics.values())] for metric in _METRICS]
    return Table(["", *metrics], [row for row in rows if set(row[1:]) != {"-"}])


def _cell(metric: _Metric, m: Metrics) -> str:
    part = m if metric.part is None else getattr(m, metric.part)
    value, ends = (getattr(part, field, None) for field in (metric.field, f"{metric.field}_ci95"))
    if value is None:
        return "-"
    if ends is None:
        return figure(value, limits=_LIMITS)
    low, high = (figure(end, limits=_LIMITS) for end in ends)
    return f"{figure(value, limits=_LIMITS)} [{low}, {high}]"
