"""Metrics as they are printed: a few of them, the classes that are confused, and the remarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from featstore.evaluation.confused import confused_line
from featstore.evaluation.metrics import Metrics
from featstore.evaluation.remarks import judged_split, remark_line
from featstore.system.figures import figure, interval, loss
from featstore.system.text import Table

_A_POINT = 0.01  # of accuracy


def metrics_parts(metrics: Mapping[str, Metrics], remarks: Sequence[str]) -> Iterator[str | Table]:
    """Yield the metrics by split as a table, the classes that are confused most often, and the remarks."""
    yield metrics_table(metrics)
    split = judged_split(metrics)
    if split and (confused := metrics[split].confused):
        yield confused_line(confused, split)
    yield from map(remark_line, remarks)


def metrics_table(metrics: Mapping[str, Metrics]) -> Table:
    """Return metrics by split as a table, a row for each split; columns in which no split has a figure are left out.

    Macro F1 and AUROC are there if the mean over the classes is more than a point away from the accuracy: else they
    say nothing new.
    """
    of_class = [m.by_class for m in metrics.values()]
    means = [m.accuracy if m.by_class is None else m.by_class.balanced_accuracy for m in metrics.values()]
    differs = any(abs(mean - m.accuracy) > _A_POINT for mean, m in zip(means, metrics.values(), strict=True))
    scores = [m.scores if differs else None for m in metrics.values()]
    columns: dict[str, list[str]] = {
        "split": list(metrics),
        "n": [m.describe_size() for m in metrics.values()],
        "accuracy": [figure(m.accuracy) for m in metrics.values()],
        "95 % interval": [interval(m.accuracy_ci95) for m in metrics.values()],
        "commonest": ["" if c is None else figure(c.commonest_share) for c in of_class],
        "by class": ["" if c is None else figure(c.balanced_accuracy) for c in of_class],
        "macro F1": ["" if s is None else figure(s.macro_f1) for s in scores],
        "AUROC": ["" if s is None or s.auroc is None else figure(s.auroc) for s in scores],
        "top-5": ["" if m.top5 is None else figure(m.top5) for m in metrics.values()],
        "log loss": [loss(m.log_loss) for m in metrics.values()],
        "used for": [m.used_for or "" for m in metrics.values()],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    return Table(list(shown), list(zip(*shown.values(), strict=True)))
