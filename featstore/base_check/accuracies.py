"""The accuracy of a classifier with each variant of the preprocessing, each number of views and each set of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.judgement import PredictionStatistics, mutual_information, prediction_statistics
from featstore.evaluation.probability_scores import log_losses
from featstore.evaluation.ranking import CellResult, rank
from featstore.evaluation.units import Units


class VariantAccuracy(NamedTuple):
    """The accuracy of one variant with one number of views, on n labelled images.

    Attributes:
        preprocess: The variant.
        scales: Input sizes whose probabilities are averaged, as `224x224`.
        views: Number of views at each size whose probabilities are averaged.
        n: Number of images.
        top1: Share of the images, 0 to 1, whose most probable class is the right one.
        top1_ci95: 95 % interval (low, high) of `top1`. If the row may be the best, it allows for that choice.
        top5: Share of the images whose right class is among the five most probable.
        classes: Number of classes that are predicted for any image.
        commonest: Name of the class that is predicted most often.
        commonest_class: Its number.
        share: Share of the images, 0 to 1, for which it is predicted.
        information: Mutual information between images and predictions, in nats.
    """

    preprocess: str
    scales: tuple[str, ...]
    views: int
    n: int
    top1: float
    top1_ci95: tuple[float, float]
    top5: float
    classes: int
    commonest: str
    commonest_class: int
    share: float
    information: float


class Measured(NamedTuple):
    """One variant with one number of views, before the ranking.

    answers: number (n,) of the class that is predicted. outputs: number of classes there are. seen, information: see
    `prediction_statistics` and `mutual_information`.
    """

    variant: str
    scales: tuple[str, ...]
    views: int
    cell: CellResult
    top5: float
    answers: NDArray[np.intp]
    outputs: int
    seen: PredictionStatistics
    information: float


def measure(
    variant: str, scales: tuple[str, ...], views: int, probabilities: NDArray[np.float64], truth: NDArray[np.intp]
) -> Measured:
    """Return which of the predictions `probabilities` (n, classes) are right, and the share in the first five."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = order == truth[:, None]
    right = hits[:, 0].astype(float)
    factors = {"preprocess": variant, "views": str(views), "scales": "+".join(scales)}
    cell = CellResult(factors, right, float(log_losses(probabilities, truth).mean()))
    return Measured(
        variant=variant,
        scales=scales,
        views=views,
        cell=cell,
        top5=float(hits.any(axis=1).mean()),
        answers=order[:, 0],
        outputs=probabilities.shape[1],
        seen=prediction_statistics(probabilities),
        information=mutual_information(probabilities),
    )


def accuracies_of(measured: Sequence[Measured], units: Units, error: float, index: ClassIndex) -> list[VariantAccuracy]:
    """Return the accuracies, in the order of `measured`; the best variant is chosen at one number of views."""
    intervals: dict[tuple[str, tuple[str, ...], int], tuple[float, float]] = {}
    for scales, views in dict.fromkeys((m.scales, m.views) for m in measured):
        alike = [m for m in measured if (m.scales, m.views) == (scales, views)]
        intervals |= {
            (alike[r.position].variant, scales, views): r.accuracy_ci95
            for r in rank([m.cell for m in alike], units, error)
        }
    rows = []
    for m in measured:
        rows.append(
            VariantAccuracy(
                preprocess=m.variant,
                scales=m.scales,
                views=m.views,
                n=len(m.answers),
                top1=float(m.cell.right.mean()),
                top1_ci95=intervals[m.variant, m.scales, m.views],
                top5=m.top5,
                classes=m.seen.classes,
                commonest=index.describe(m.seen.commonest),
                commonest_class=m.seen.commonest,
                share=m.seen.share,
                information=m.information,
            )
        )
    return rows
