"""What is printed of the metrics: little, and more where it says something new."""

from __future__ import annotations

import numpy as np

from featstore.evaluation.metrics import Metrics, compute_metrics
from featstore.evaluation.shown import metrics_parts


def measured(sizes: tuple[int, int], right: tuple[int, int]) -> Metrics:
    truth = np.repeat([0, 1], sizes)
    answers = np.concatenate([np.arange(sizes[0]) >= right[0], np.arange(sizes[1]) < right[1]]).astype(int)
    return compute_metrics(np.eye(2)[answers] * 0.8 + 0.1, [["cat", "dog"][t] for t in truth], ["cat", "dog"])


def test_even_classes_have_few_columns() -> None:
    """Macro F1 and AUROC would repeat the accuracy."""
    table, confused = metrics_parts({"test": measured((100, 100), (95, 96))}, [])
    assert str(table).splitlines()[0] == "split    n  accuracy   95 % interval  commonest  by class  log loss"
    assert confused == "most confused on test: `cat` taken for `dog` 5 of 100, `dog` taken for `cat` 4 of 100"


def test_uneven_classes_have_more() -> None:
    """Their accuracy is not that of each class."""
    table, *_, remark = metrics_parts({"test": measured((180, 20), (178, 12))}, ["the last"])
    assert str(table).splitlines()[0].endswith("by class  macro F1  AUROC  log loss")
    assert remark == "remark: the last"


def test_no_mistake_has_no_line() -> None:
    """Nothing was confused; a run of an earlier version does not know."""
    assert len(list(metrics_parts({"test": measured((9, 9), (9, 9))}, []))) == 1
    old = Metrics(n=4, accuracy=0.5, accuracy_ci95=(0.2, 0.8), log_loss=0.7)
    assert len(list(metrics_parts({"test": old}, []))) == 1
