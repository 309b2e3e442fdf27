"""The figures of the validation split that may choose the epoch, from probabilities and the right classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featstore.heads.logits import loss_and_accuracy


def measure(probabilities: NDArray[np.float64], targets: NDArray[np.intp], monitor: str = "loss") -> dict[str, float]:
    """Return `loss` (mean cross-entropy in nats), `accuracy`, and the figure `monitor` if it is another one."""
    loss, accuracy = loss_and_accuracy(probabilities, targets).tolist()
    figures = {"loss": loss, "accuracy": accuracy}
    if monitor in _BY_CLASS:
        figures[monitor] = _BY_CLASS[monitor](*_counts(probabilities, targets))
    return figures


def _counts(
    probabilities: NDArray[np.float64], targets: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return for each class that has images or answers: its images, its answers, and those that are both."""
    classes, answers = probabilities.shape[1], probabilities.argmax(axis=1)
    images, answered, right = (
        np.bincount(which, minlength=classes) for which in (targets, answers, targets[answers == targets])
    )
    seen = images + answered > 0
    return images[seen], answered[seen], right[seen]


def _balanced_accuracy(images: NDArray[np.intp], answered: NDArray[np.intp], right: NDArray[np.intp]) -> float:
    """Return the mean over the classes that have images of the share of them that is right."""
    held = images > 0
    return float((right[held] / images[held]).mean())


def _macro_f1(images: NDArray[np.intp], answered: NDArray[np.intp], right: NDArray[np.intp]) -> float:
    """Return the mean over the classes of F1, as scikit-learn has it: over those with images or answers."""
    return float((2 * right / (images + answered)).mean())


_BY_CLASS: dict[str, Callable[..., float]] = {"balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1}
