"""The plot of a curve: lines are where their values belong, and nothing that a curve can hold stops a run."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featstore.heads.interface import Curve
from featstore.plots.curve import BOTTOM, LEFT, RIGHT, TOP, Axis, draw_curve
from featstore.plots.text import COLOURS

LEFTMOST, RIGHTMOST = LEFT + 15, RIGHT - 15  # of the points
LOWEST, HIGHEST = BOTTOM - 12, TOP + 12


def pixels(curve: Curve, title: str = "bn-dropout on tiny") -> np.ndarray:
    """(480, 840, 3), uint8."""
    with Image.open(io.BytesIO(draw_curve(curve, title))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (840, 480), "RGB")
        return np.asarray(image)


def drawn(picture: np.ndarray, number: int) -> np.ndarray:
    """Return (480, 840), true inside the frame where the colour of the series `number` is; edges of lines are paler."""
    colour = [int(COLOURS[number][place : place + 2], 16) for place in (1, 3, 5)]
    found = np.abs(picture.astype(int) - colour).max(axis=2) < 60
    found[BOTTOM:] = False  # the legend
    return found


def height(picture: np.ndarray, number: int, x: float) -> float:
    """The middle of the series' line at the column `x`, in pixels from the top."""
    rows = np.flatnonzero(drawn(picture, number)[:, round(x)])
    return float(rows.mean())


def test_values_are_drawn_at_their_heights() -> None:
    """Losses by the left axis and accuracies by the right, each from its least value to its largest."""
    epochs = [float(epoch) for epoch in range(1, 32)]
    loss, accuracy = [1 - epoch / 62 for epoch in epochs], [0.5 + epoch / 100 for epoch in epochs]
    picture = pixels(Curve("epoch", epochs, {"loss": loss, "accuracy": accuracy, "val_loss": [loss[0]] * 31}))
    for share in (0.1, 0.4, 0.9):  # the first two cross at 0.5
        x = LEFTMOST + share * (RIGHTMOST - LEFTMOST)
        assert height(picture, 0, x) == pytest.approx(HIGHEST + share * (LOWEST - HIGHEST), abs=1.5)
        assert height(picture, 1, x) == pytest.approx(LOWEST - share * (LOWEST - HIGHEST), abs=1.5)
        assert height(picture, 2, x) == pytest.approx(HIGHEST, abs=1.5)


def test_C_is_on_a_logarithmic_axis() -> None:
    """Each power of ten is as far from the next, with a dot on it."""
    picture = pixels(Curve("C", [1e-5, 1e-4, 1e-3], {"cv_log_loss": [3.0, 1.0, 2.0]}, log_x=True))
    middle = (LEFTMOST + RIGHTMOST) / 2
    assert height(picture, 0, middle) == pytest.approx(LOWEST, abs=3)
    assert drawn(picture, 0)[LOWEST - 1, round(middle) - 2 : round(middle) + 3].all()


def test_a_value_that_is_not_a_number_leaves_a_gap() -> None:
    """The line is there on both sides of it."""
    epochs = [float(epoch) for epoch in range(40)]
    values = [math.nan if 10 <= epoch < 20 else 1.0 for epoch in epochs]
    columns = drawn(pixels(Curve("epoch", epochs, {"loss": values, "val_loss": [0.0] * 40})), 0).any(axis=0)
    step = (RIGHTMOST - LEFTMOST) / 39
    assert columns[round(LEFTMOST + 5 * step)]
    assert not columns[round(LEFTMOST + 10 * step) : round(LEFTMOST + 19 * step)].any()
    assert columns[round(LEFTMOST + 30 * step)]


numbers = st.floats(0, 1e30) | st.sampled_from([0.0, 5e-324, 1.0, math.nan, math.inf])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, st.floats(0, 1)), min_size=1, max_size=30), st.booleans(), st.text(max_size=200))
def test_any_curve_can_be_drawn(values: list[tuple[float, float]], is_log: bool, title: str) -> None:
    """A training that diverged, one epoch, equal values; and any name of a base."""
    losses, accuracies = map(list, zip(*values, strict=True))
    x = [10.0 ** (number - 5) for number in range(len(values))] if is_log else list(map(float, range(len(values))))
    pixels(Curve("C" if is_log else "epoch", x, {"loss": losses, "accuracy": accuracies}, is_log), title)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_and_a_handful(low: float, width: float) -> None:
    """Within the axis, at equal distances, at most eight, and two at the least."""
    ticks = Axis(low, low + width, 0, 100).ticks()
    assert 2 <= len(ticks) <= 8
    rounding = 1e-9 * (abs(low) + width)
    assert low - rounding <= ticks[0]
    assert ticks[-1] <= low + width + rounding
    steps = np.diff(ticks)
    assert steps == pytest.approx(steps[0], rel=1e-4)
    assert f"{steps[0]:.0e}"[0] in "125"


def test_epochs_have_whole_numbers_below_them() -> None:
    """A curve of two epochs has nothing between them."""
    assert [tick for tick in Axis(1, 2, 0, 1).ticks() if tick.is_integer()] == [1, 2]
    assert Axis(1e-5, 10, 0, 1, is_log=True).ticks() == [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10]


def test_it_is_drawn_without_matplotlib() -> None:
    """Which would take longer than the training."""
    code = """
import sys
from featstore.heads.interface import Curve
from featstore.plots.curve import draw_curve
draw_curve(Curve("epoch", [1.0, 2.0], {"loss": [1.0, 0.5]}), "title")
assert "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
