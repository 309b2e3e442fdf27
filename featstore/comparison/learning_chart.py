"""The chart of a learning curve: the points of each head, and the law through them a little beyond the largest."""

from __future__ import annotations

import os
from pathlib import Path

from featstore.comparison.curve_fit import LARGEST
from featstore.comparison.learning_result import LearningCurve
from featstore.plots.files import Kind
from featstore.plots.learning_curve import CurveLine

_STEPS = 40


def draw_chart(curve: LearningCurve, data: str, kind: Kind = "png") -> bytes:
    """Return the chart as a picture of this `kind`; `data` is the path that was measured on."""
    from featstore.plots.learning_curve import draw_learning_curve

    name = Path(os.path.abspath(data)).name
    return draw_learning_curve(lines_of(curve), f"{name}: accuracy on {curve.split}, {curve.units}", kind)


def lines_of(curve: LearningCurve) -> list[CurveLine]:
    """Return the line of each head, with the law up to the size that is asked about; without it where it fails."""
    import numpy as np

    lines = []
    for head, (points, fitted) in curve.heads.items():
        law_sizes: list[float] = []
        law: list[float] = []
        if fitted and fitted.holds:
            first, last = points[-LARGEST:][0].per_class, points[-1].per_class + curve.more
            law_sizes = np.geomspace(first, last, _STEPS).tolist()
            law = [1 - float(fitted.law.error(size)[0]) for size in law_sizes]
        lines.append(
            CurveLine(
                head,
                [point.per_class for point in points],
                [point.accuracy for point in points],
                [point.accuracy_ci95 for point in points],
                law_sizes,
                law,
            )
        )
    return lines
