"""The plot of a reliability curve: its dots are where their figures belong, whatever these are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from featstore.evaluation.reliability import Bin, Reliability
from featstore.plots.reliability import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, axes_of, draw_reliability


def curve(*points: tuple[float, float]) -> Reliability:
    """Return a curve with a bin of 20 answers for each (probability, accuracy)."""
    bins = tuple(
        Bin(n=20, probability=p, accuracy=a, accuracy_ci95=(max(0.0, a - 0.1), min(1.0, a + 0.1))) for p, a in points
    )
    return Reliability(calibration_error=0.05, calibration_error_ci95=(0.01, 0.09), curve=bins)


def blue(reliability: Reliability) -> np.ndarray:
    """Return where the picture is blue, not grey (height, width)."""
    with Image.open(io.BytesIO(draw_reliability(reliability, "photos: logistic on tiny, 32 px", "test"))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (WIDTH, HEIGHT), "RGB")
        red, _, blue = np.moveaxis(np.asarray(image).astype(int), 2, 0)
        return np.asarray(blue - red > 60)


def test_dots_are_at_their_figures() -> None:
    """The limits are 0.5 and 1 here, a tenth below the least end of an interval."""
    found = blue(curve((0.7, 0.65), (0.9, 0.8)))
    for probability, accuracy in ((0.7, 0.65), (0.9, 0.8)):
        x = round(LEFT + (probability - 0.5) / 0.5 * (RIGHT - LEFT))
        y = round(BOTTOM - (accuracy - 0.5) / 0.5 * (BOTTOM - TOP))
        assert found[y - 2 : y + 3, x - 2 : x + 3].all()
        assert found[y + 80, x - 1 : x + 2].any()  # the interval
        assert not found[y + 130, x - 1 : x + 2].any()


@pytest.mark.parametrize(
    ("points", "low"), [([(1.0, 1.0)], 0.9), ([(0.99, 1.0), (1.0, 1.0)], 0.9), ([(0.2, 0.0), (0.3, 1.0)], 0.0)]
)
def test_any_curve_can_be_drawn(points: list[tuple[float, float]], low: float) -> None:
    """One bin, equal figures, and those at the ends of the scale lie within the panel."""
    found = blue(curve(*points))
    assert axes_of(curve(*points))[0].low == pytest.approx(low, abs=0.11)
    rows, columns = np.nonzero(found)
    assert TOP - 8 <= rows.min() <= rows.max() <= BOTTOM + 8
    assert LEFT - 8 <= columns.min() <= columns.max() <= RIGHT + 8
