"""All scores other than accuracy and log loss, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.answer_scores import macro_f1, matthews
from featstore.evaluation.estimate import Estimate
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

    macro_f1: float | None
    macro_f1_ci95: Ends
    matthews: float | None
    matthews_ci95: Ends
    auroc: float | None
    auroc_ci95: Ends
    average_precision: float | None
    average_precision_ci95: Ends
    brier: float | None
    brier_ci95: Ends


def measure_scores(probabilities: NDArray[Any], truth: NDArray[np.intp], units: Units) -> Scores:
    """Return the scores of `probabilities` (n, classes) of images whose class is at the place `truth` (n,).

    `units` says which images belong together in the intervals.
    """
    answers, ranked = probabilities.argmax(axis=1), rank_scores(probabilities, truth)

    def measured(found: Estimate | None, low: float = 0.0, high: float = 1.0) -> tuple[float | None, Ends]:
        return (None, None) if found is None else (found.value, found.interval(units, low, high))

    f1, f1_ci95 = measured(macro_f1(answers, truth))
    correlation, correlation_ci95 = measured(matthews(answers, truth), low=-1.0)
    area, area_ci95 = measured(ranked.auroc)
    precision, precision_ci95 = measured(ranked.average_precision)
    square, square_ci95 = measured(brier(probabilities, truth), high=1.0 if probabilities.shape[1] == 2 else 2.0)
    return Scores(
        macro_f1=f1,
        macro_f1_ci95=f1_ci95,
        matthews=correlation,
        matthews_ci95=correlation_ci95,
        auroc=area,
        auroc_ci95=area_ci95,
        average_precision=precision,
        average_precision_ci95=precision_ci95,
        brier=square,
        brier_ci95=square_ci95,
    )
