"""The chart of a learning curve: the points of each head, and the law through them a little beyond the largest."""

from __future__ import annotations

from collections.abc import Mapping

from featstore.comparison.curve_fit import LARGEST
from featstore.comparison.learning_points import HeadCurve
from featstore.plots.files import Kind
from featstore.plots.learning_curve import CurveLine, draw_learning_curve

_STEPS = 40


def draw_chart(heads: Mapping[str, HeadCurve], more: int, title: str, kind: Kind = "png") -> bytes:
    """Return the chart as a picture of this `kind`; the laws go on to `more` images of each class."""
    return draw_learning_curve(lines_of(heads, more), title, kind)


def lines_of(heads: Mapping[str, HeadCurve], more: int) -> list[CurveLine]:
    """Return the line of each head, with the law up to `more` images of each class; without it where it fails."""
    import numpy as np

    lines = []
    for head, (points, fitted) in heads.items():
        law_sizes: list[float] = []
        law: list[float] = []
        if fitted and fitted.holds:
            first, last = points[-LARGEST:][0].per_class, points[-1].per_class + more
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
