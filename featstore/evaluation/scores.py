"""All scores other than accuracy and log loss, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.answer_scores import macro_f1, matthews
from featstore.evaluation.probability_scores import brier
from featstore.evaluation.rank_scores import rank_scores
from featstore.evaluation.units import Units

Ends = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of predicted probabilities on labelled images, None where there is no such number.

    Each has a 95 % interval (low, high). Means over the classes count each class alike, however few images it has.

    Attributes:
        macro_f1: Mean over the classes of F1, 0 to 1.
        macro_f1_ci95: Its interval.
        matthews: Correlation of answers and classes, -1 to 1; 0 is chance.
        matthews_ci95: Its interval.
        auroc: Mean over the classes of the area under the ROC curve against the rest, 0 to 1; 0.5 is chance.
        auroc_ci95: Its interval.
        average_precision: Mean over the classes of the average precision against the rest, 0 to 1.
        average_precision_ci95: Its interval.
        brier: Mean squared distance of the probabilities from the truth: 0 to 1 for two classes, else 0 to 2.
        brier_ci95: Its interval.
    """

    macro_f1: float
    macro_f1_ci95: tuple[float, float]
    matthews: float | None
    matthews_ci95: Ends
    auroc: float | None
    auroc_ci95: Ends
    average_precision: float | None
    average_precision_ci95: Ends
    brier: float
    brier_ci95: tuple[float, float]


def measure_scores(probabilities: NDArray[Any], truth: NDArray[np.intp], units: Units) -> Scores:
    """Return the scores of `probabilities` (n, classes) of images whose class is at the place `truth` (n,).

    `units` says which images belong together in the intervals.
    """
    answers, ranked = probabilities.argmax(axis=1), rank_scores(probabilities, truth)
    f1, square = macro_f1(answers, truth), brier(probabilities, truth)
    correlation = matthews(answers, truth)
    return Scores(
        macro_f1=f1.value,
        macro_f1_ci95=f1.interval(units),
        matthews=correlation and correlation.value,
        matthews_ci95=correlation and correlation.interval(units, low=-1.0),
        auroc=ranked.auroc and ranked.auroc.value,
        auroc_ci95=ranked.auroc and ranked.auroc.interval(units),
        average_precision=ranked.average_precision and ranked.average_precision.value,
        average_precision_ci95=ranked.average_precision and ranked.average_precision.interval(units),
        brier=square.value,
        brier_ci95=square.interval(units, high=1.0 if probabilities.shape[1] == 2 else 2.0),
    )
