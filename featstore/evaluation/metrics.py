"""Accuracy, top-5 and log loss of predicted probabilities, with a 95 % interval for the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.units import Units
from featstore.system.figures import figure, interval, loss
from featstore.system.text import Table

UsedFor = Literal["training", "partly training", "stopping", "measuring"]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good predicted probabilities are on labelled images.

    Attributes:
        n: Number of images.
        groups: Number of groups that the images fall into; None if each image is one of its own.
        accuracy: Share of the images, 0 to 1, whose most probable class is the right one.
        accuracy_ci95: 95 % interval (low, high) of the accuracy.
        top5: Share of the images whose right class is among the five most probable; None for up to five classes.
        log_loss: Mean over the images, in nats.
        used_for: What the images were used for: all but `measuring` make figures too good. `stopping` is the choice of
            the epoch. None if that is not known.
    """

    n: int
    groups: int | None = None
    accuracy: float
    accuracy_ci95: tuple[float, float]
    top5: float | None = None
    log_loss: float
    used_for: UsedFor | None = None

    def describe(self) -> dict[str, Any]:
        """Return the metrics as plain JSON values, without those that are None."""
        values = asdict(self) | {"accuracy_ci95": list(self.accuracy_ci95)}
        return {name: value for name, value in values.items() if value is not None}

    def describe_size(self) -> str:
        """Return the number of images, and of groups, as text."""
        return str(self.n) if self.groups is None else f"{self.n} in {self.groups} groups"


def compute_metrics(
    probabilities: NDArray[Any],
    labels: Sequence[str] | NDArray[Any],
    classes: Sequence[str],
    units: Units | None = None,
    used_for: UsedFor | None = None,
) -> Metrics:
    """Return the metrics of `probabilities` (n, len(classes)), columns in the order of `classes`, for n `labels`.

    `units` says which images belong together; by default each is a unit of its own.
    """
    column = {name: i for i, name in enumerate(classes)}
    truth = np.array([column[str(label)] for label in labels])
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    top5 = None
    if len(classes) > 5:
        # ties go to the class named first, as in argmax, so that top-5 is never below the accuracy
        five = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        top5 = float((five == truth[:, None]).any(axis=1).mean())
    return Metrics(
        n=len(truth),
        groups=None if units is None or units.are_single else len(units),
        accuracy=float(right.mean()),
        accuracy_ci95=accuracy_interval(right, units),
        top5=top5,
        log_loss=float(log_losses(probabilities, truth).mean()),
        used_for=used_for,
    )


def describe_splits(metrics: Mapping[str, Metrics]) -> dict[str, dict[str, Any]]:
    """Return metrics by split as plain JSON values."""
    return {split: found.describe() for split, found in metrics.items()}


def metrics_table(metrics: Mapping[str, Metrics]) -> Table:
    """Return metrics by split as a table, a row for each split."""
    has_use = any(m.used_for is not None for m in metrics.values())
    has_top5 = any(m.top5 is not None for m in metrics.values())
    rows = []
    for split, m in metrics.items():
        top5 = [] if not has_top5 else ["" if m.top5 is None else figure(m.top5)]
        use = [m.used_for or ""] if has_use else []
        rows.append(
            [split, m.describe_size(), figure(m.accuracy), interval(m.accuracy_ci95), *top5, loss(m.log_loss), *use]
        )
    header = ["split", "n", "accuracy", "95 % interval", *(["top-5"] if has_top5 else []), "log loss"]
    return Table([*header, *(["used for"] if has_use else [])], rows)


def log_losses(probabilities: NDArray[Any], truth: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log loss (n,) in nats of each row, for the column `truth` (n,) of its right class.

    Heads compute their probabilities from logits in float64, so the loss of a sure mistake is exact up to 700 nats. A
    probability of 0 counts as the smallest number of float64, which is 708 nats: every loss is finite.
    """
    selected = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(selected, np.finfo(np.float64).tiny, 1.0)))
