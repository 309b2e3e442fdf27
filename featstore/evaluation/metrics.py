"""All that is measured of predicted probabilities on labelled images, from accuracy and log loss on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.by_class import ByClass, measure_by_class
from featstore.evaluation.confused import Confused, most_confused
from featstore.evaluation.confusion import ClassFigures, count_confusion
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.probability_scores import log_loss_interval, log_losses
from featstore.evaluation.reliability import Reliability, measure_reliability
from featstore.evaluation.scores import Scores, measure_scores
from featstore.evaluation.units import Units

_MOST_CLASSES = 50  # of a confusion matrix in a record: 2,500 numbers
UsedFor = Literal["training", "partly training", "choosing", "stopping", "calibrating", "measuring"]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good predicted probabilities are on labelled images.

    Those that are None were not measured: older versions of a run, and comparisons, have fewer.

    Attributes:
        n: Number of images.
        groups: Number of groups that the images fall into; None if each image is one of its own.
        accuracy: Share of the images, 0 to 1, whose most probable class is the right one.
        accuracy_ci95: 95 % interval (low, high) of the accuracy.
        by_class: The bar that an accuracy must clear, and its mean over the classes. None in a run made before version
            5 of its format.
        top5: Share of the images whose right class is among the five most probable; None for up to five classes.
        top5_ci95: 95 % interval (low, high) of that share.
        log_loss: Mean over the images, in nats.
        log_loss_ci95: 95 % interval (low, high) of that mean; None for fewer than ten mistakes, which tell nothing.
        scores: Macro F1, AUROC and all other scores, with their intervals.
        reliability: Calibration error and the curve behind it; None for fewer than 20 images.
        per_class: Precision, recall and number of images of each class.
        confusion: Images of the class of the row that were answered with the class of the column, both in the order of
            the classes; None for more than 50 classes.
        confused: The pairs of classes that were confused most often, ten at most.
        used_for: What the images were used for: all but `measuring` make figures too good. `choosing` is the choice of
            the head among others, `stopping` that of the epoch, `calibrating` that of the temperature, which changes no
            accuracy. None if that is not known.
    """

    n: int
    groups: int | None = None
    accuracy: float
    accuracy_ci95: tuple[float, float]
    by_class: ByClass | None = None
    top5: float | None = None
    top5_ci95: tuple[float, float] | None = None
    log_loss: float
    log_loss_ci95: tuple[float, float] | None = None
    scores: Scores | None = None
    reliability: Reliability | None = None
    per_class: tuple[ClassFigures, ...] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    confused: tuple[Confused, ...] | None = None
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
        plain: dict[str, Any] = _plain(asdict(self))
        return {name: value for name, value in plain.items() if value is not None}

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
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    losses, known_units = log_losses(probabilities, truth), units or Units.single(len(truth))
    confusion = count_confusion(probabilities, truth, classes, units)
    is_small = len(classes) <= _MOST_CLASSES
    among_five = _among_five(probabilities, truth) if len(classes) > 5 else None
    return replace(
        measure(right, float(losses.mean()), truth, classes, units, used_for),
        top5=None if among_five is None else float(among_five.mean()),
        top5_ci95=None if among_five is None else accuracy_interval(among_five, units),
        log_loss_ci95=log_loss_interval(losses, right, known_units),
        scores=measure_scores(probabilities, truth, known_units),
        reliability=measure_reliability(probabilities, truth, known_units),
        per_class=confusion.per_class,
        confusion=tuple(map(tuple, confusion.counts.tolist())) if is_small else None,
        confused=most_confused(confusion.counts, classes),
    )


def measure(
    right: NDArray[np.float64],
    log_loss: float,
    truth: NDArray[np.intp],
    classes: Sequence[str],
    units: Units | None = None,
    used_for: UsedFor | None = None,
) -> Metrics:
    """Return the metrics of n predictions that need no probabilities.

    Args:
        right: (n,) 1 for a right prediction and 0 for a wrong one, or the share of right ones over repetitions.
        log_loss: Mean over the images.
        truth: (n,) position in `classes` of each image's class.
        classes: Names of the classes.
        units: Which images belong together.
        used_for: As in `Metrics`.
    """
    return Metrics(
        n=len(truth),
        groups=None if units is None or units.are_single else len(units),
        accuracy=float(right.mean()),
        accuracy_ci95=accuracy_interval(right, units),
        by_class=measure_by_class(right, truth, classes, units),
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


def _among_five(probabilities: NDArray[Any], truth: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return (n,) 1 where the right class is among the five most probable, and 0 elsewhere.

    Ties go to the class named first, as in argmax, so that top-5 is never below the accuracy.
    """
    five = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    return np.asarray((five == truth[:, None]).any(axis=1), float)


def _plain(value: Any) -> Any:
    """Return `value` with lists in place of tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
