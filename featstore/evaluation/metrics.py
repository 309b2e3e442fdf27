"""Accuracy, top-5 and log loss of predicted probabilities, with a 95 % interval for the accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.system.text import Table

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good predicted probabilities are on labelled images.

    Attributes:
        n: Number of images.
        accuracy: Share of the images, 0 to 1, whose most probable class is the right one.
        accuracy_ci95: 95 % interval (low, high) of the accuracy.
        top5: Share of the images whose right class is among the five most probable; None for up to five classes.
        log_loss: Mean over the images, in nats.
    """

    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    top5: float | None = None
    log_loss: float

    def describe(self) -> dict[str, Any]:
        """Return the metrics as plain JSON values, without `top5` where it is None."""
        values = asdict(self) | {"accuracy_ci95": list(self.accuracy_ci95)}
        return {name: value for name, value in values.items() if value is not None}


def compute_metrics(
    probabilities: NDArray[Any], labels: Sequence[str] | NDArray[Any], classes: Sequence[str]
) -> Metrics:
    """Return the metrics of `probabilities` (n, len(classes)), columns in the order of `classes`, for n `labels`."""
    column = {name: i for i, name in enumerate(classes)}
    truth = np.array([column[str(label)] for label in labels])
    right = int((probabilities.argmax(axis=1) == truth).sum())
    top5 = None
    if len(classes) > 5:
        # ties go to the class named first, as in argmax, so that top-5 is never below the accuracy
        five = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        top5 = float((five == truth[:, None]).any(axis=1).mean())
    return Metrics(
        n=len(truth),
        accuracy=right / len(truth),
        accuracy_ci95=wilson_interval(right, len(truth)),
        top5=top5,
        log_loss=float(log_losses(probabilities, truth).mean()),
    )


def describe_splits(metrics: Mapping[str, Metrics]) -> dict[str, dict[str, Any]]:
    """Return metrics by split as plain JSON values."""
    return {split: found.describe() for split, found in metrics.items()}


def metrics_table(metrics: Mapping[str, Metrics]) -> Table:
    """Return metrics by split as a table, a row for each split."""
    has_top5 = any(m.top5 is not None for m in metrics.values())
    rows = []
    for split, m in metrics.items():
        low, high = m.accuracy_ci95
        top5 = [] if not has_top5 else ["" if m.top5 is None else f"{m.top5:.3f}"]
        rows.append([split, str(m.n), f"{m.accuracy:.3f}", f"{low:.3f} to {high:.3f}", *top5, f"{m.log_loss:.3f}"])
    return Table(["split", "n", "accuracy", "95 % interval", *(["top-5"] if has_top5 else []), "log loss"], rows)


def log_losses(probabilities: NDArray[Any], truth: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log loss (n,) in nats of each row, for the column `truth` (n,) of its right class.

    Heads compute their probabilities from logits in float64, so the loss of a sure mistake is exact up to 700 nats. A
    probability of 0 counts as the smallest number of float64, which is 708 nats: every loss is finite.
    """
    selected = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(selected, np.finfo(np.float64).tiny, 1.0)))


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927), which is sound near 0 and 1 as well."""
    p, z2 = successes / trials, Z95**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
