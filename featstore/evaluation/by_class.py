"""An accuracy seen by class: what always giving the commonest class would reach, and what each class counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import mean_over_classes_interval
from featstore.evaluation.paired import paired_difference
from featstore.evaluation.units import Units


@dataclass(frozen=True, kw_only=True)
class ByClass:
    """What an accuracy is measured against, and how it is spread over the classes of the images.

    Attributes:
        classes: Number of classes that the images have.
        commonest: Name of the class with the most images; of several, the first.
        commonest_share: Its share of the images: the accuracy of always answering with it.
        gain_ci95: 95 % interval (low, high) of the accuracy less that share, on the same images.
        balanced_accuracy: Mean over the classes of the share of their images that is right. Each class counts alike.
        balanced_accuracy_ci95: 95 % interval (low, high) of that mean.
        never_found: Number of images of each class of which no image was right.
        frequencies_log_loss: Log loss of answering each image with the shares of the classes, in nats.
    """

    classes: int
    commonest: str
    commonest_share: float
    gain_ci95: tuple[float, float]
    balanced_accuracy: float
    balanced_accuracy_ci95: tuple[float, float]
    never_found: dict[str, int]
    frequencies_log_loss: float

    @property
    def beats_chance(self) -> bool:
        """Whether the mean over the classes is significantly above that of any answer which ignores the image."""
        return self.balanced_accuracy_ci95[0] > 1 / self.classes


def measure_by_class(
    right: NDArray[np.float64], truth: NDArray[np.intp], classes: Sequence[str], units: Units | None = None
) -> ByClass:
    """Return the figures by class of n predictions.

    Args:
        right: (n,) 1 for a right prediction and 0 for a wrong one, or the share of right ones over repetitions.
        truth: (n,) position in `classes` of each image's class.
        classes: Names of the classes.
        units: Which images belong together.
    """
    counts = np.bincount(truth, minlength=len(classes))
    found = np.bincount(truth, weights=right, minlength=len(classes))
    present: list[int] = np.flatnonzero(counts).tolist()
    shares = counts[present] / len(truth)
    gain = paired_difference(right, always_commonest(truth), units)
    return ByClass(
        classes=len(present),
        commonest=classes[int(counts.argmax())],
        commonest_share=float(shares.max()),
        gain_ci95=(gain.low, gain.high),
        balanced_accuracy=float((found[present] / counts[present]).mean()),
        balanced_accuracy_ci95=mean_over_classes_interval(right, truth, units),
        never_found={classes[i]: int(counts[i]) for i in present if found[i] == 0},
        frequencies_log_loss=float((shares * np.log(1 / shares)).sum()),
    )


def always_commonest(truth: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return (n,) 1 for the images of the commonest class in `truth` (n,), which are right if it is always answered."""
    return np.asarray(truth == np.bincount(truth).argmax(), float)
