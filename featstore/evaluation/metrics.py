"""Accuracy, log loss and what they are measured against, of predicted probabilities on labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.by_class import ByClass, measure_by_class
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.units import Units
from featstore.system.figures import figure, interval, loss
from featstore.system.text import Table

UsedFor = Literal["training", "partly training", "stopping", "calibrating", "measuring"]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good predicted probabilities are on labelled images.

    Attributes:
        n: Number of images.
        groups: Number of groups that the images fall into; None if each image is one of its own.
        accuracy: Share of the images, 0 to 1, whose most probable class is the right one.
        accuracy_ci95: 95 % interval (low, high) of the accuracy.
        by_class: The bar that an accuracy must clear, and its mean over the classes. None in a run made before version
            5 of its format.
        top5: Share of the images whose right class is among the five most probable; None for up to five classes.
        log_loss: Mean over the images, in nats.
        used_for: What the images were used for: all but `measuring` make figures too good. `stopping` is the choice of
            the epoch, `calibrating` that of the temperature, which changes no accuracy. None if that is not known.
    """

    n: int
    groups: int | None = None
    accuracy: float
    accuracy_ci95: tuple[float, float]
    by_class: ByClass | None = None
    top5: float | None = None
    log_loss: float
    used_for: UsedFor | None = None

    @property
    def beats_commonest(self) -> bool:
        """Whether the accuracy is significantly above that of always answering with the commonest class.

        Either of two comparisons may show it: with the share of that class, which is a fixed number if the author of
        the data chose how many images each class has, or image by image, which is the sharper one for a very common
        class. It is True if the share is not known.
        """
        if self.by_class is None:
            return True
        return self.accuracy_ci95[0] > self.by_class.commonest_share or self.by_class.gain_ci95[0] > 0

    def describe(self) -> dict[str, Any]:
        """Return the metrics as plain JSON values, without those that are None."""
        return {name: value for name, value in _plain(asdict(self)).items() if value is not None}

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
    truth = columns_of(labels, classes)
    top5 = None
    if len(classes) > 5:
        # ties go to the class named first, as in argmax, so that top-5 is never below the accuracy
        five = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        top5 = float((five == truth[:, None]).any(axis=1).mean())
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    return measure(right, float(log_losses(probabilities, truth).mean()), truth, classes, units, used_for, top5)


def measure(
    right: NDArray[np.float64],
    log_loss: float,
    truth: NDArray[np.intp],
    classes: Sequence[str],
    units: Units | None = None,
    used_for: UsedFor | None = None,
    top5: float | None = None,
) -> Metrics:
    """Return the metrics of n predictions.

    Args:
        right: (n,) 1 for a right prediction and 0 for a wrong one, or the share of right ones over repetitions.
        log_loss: Mean over the images.
        truth: (n,) position in `classes` of each image's class.
        classes: Names of the classes.
        units: Which images belong together.
        used_for: As in `Metrics`.
        top5: As in `Metrics`.
    """
    return Metrics(
        n=len(truth),
        groups=None if units is None or units.are_single else len(units),
        accuracy=float(right.mean()),
        accuracy_ci95=accuracy_interval(right, units),
        by_class=measure_by_class(right, truth, classes, units),
        top5=top5,
        log_loss=log_loss,
        used_for=used_for,
    )


def columns_of(labels: Sequence[str] | NDArray[Any], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the position (n,) in `classes` of each of n `labels`."""
    column = {name: i for i, name in enumerate(classes)}
    return np.array([column[str(label)] for label in labels], np.intp)


def describe_splits(metrics: Mapping[str, Metrics]) -> dict[str, dict[str, Any]]:
    """Return metrics by split as plain JSON values."""
    return {split: found.describe() for split, found in metrics.items()}


def metrics_table(metrics: Mapping[str, Metrics]) -> Table:
    """Return metrics by split as a table, a row for each split; columns in which no split has a figure are left out."""
    of_class = [m.by_class for m in metrics.values()]
    columns: dict[str, list[str]] = {
        "split": list(metrics),
        "n": [m.describe_size() for m in metrics.values()],
        "accuracy": [figure(m.accuracy) for m in metrics.values()],
        "95 % interval": [interval(m.accuracy_ci95) for m in metrics.values()],
        "commonest": ["" if c is None else figure(c.commonest_share) for c in of_class],
        "by class": ["" if c is None else figure(c.balanced_accuracy) for c in of_class],
        "top-5": ["" if m.top5 is None else figure(m.top5) for m in metrics.values()],
        "log loss": [loss(m.log_loss) for m in metrics.values()],
        "used for": [m.used_for or "" for m in metrics.values()],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    return Table(list(shown), list(zip(*shown.values(), strict=True)))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with lists in place of tuples, as JSON has them."""
    return {
        name: _plain(value) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def log_losses(probabilities: NDArray[Any], truth: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log loss (n,) in nats of each row, for the column `truth` (n,) of its right class.

    Heads compute their probabilities from logits in float64, so the loss of a sure mistake is exact up to 700 nats. A
    probability of 0 counts as the smallest number of float64, which is 708 nats: every loss is finite.
    """
    selected = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(selected, np.finfo(np.float64).tiny, 1.0)))
