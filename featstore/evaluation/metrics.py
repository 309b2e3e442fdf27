"""Accuracy, top-5 and log loss of predicted probabilities, with a 95 % interval for the accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def evaluate(
    probabilities: NDArray[Any], labels: Sequence[str] | NDArray[Any], classes: Sequence[str]
) -> dict[str, Any]:
    """`n`, `accuracy`, `accuracy_ci95`, `log_loss`, and `top5` where there are more than five classes.

    probabilities: (n, len(classes)), columns in the order of `classes`. labels: n names, all of them in `classes`.
    """
    column = {name: i for i, name in enumerate(classes)}
    truth = np.array([column[str(label)] for label in labels])
    right = int((probabilities.argmax(axis=1) == truth).sum())
    metrics: dict[str, Any] = {
        "n": len(truth),
        "accuracy": right / len(truth),
        "accuracy_ci95": list(wilson_interval(right, len(truth))),
    }
    if len(classes) > 5:
        # ties go to the class named first, as in argmax, so that top-5 is never below the accuracy
        five = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        metrics["top5"] = float((five == truth[:, None]).any(axis=1).mean())
    metrics["log_loss"] = float(log_losses(probabilities, truth).mean())
    return metrics


def log_losses(probabilities: NDArray[Any], truth: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """(n,) in nats, for the right class `truth` (n,) of each row; no probability counts as less than float32's step."""
    of_truth = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(of_truth, np.finfo(np.float32).eps, 1.0)))


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927): sound near 0 and 1, where the textbook one is not."""
    p, z2 = successes / trials, Z95**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
