"""The plot of a head's training: lines are where their values belong, and nothing that a curve can hold stops a run."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from featstore.heads.interface import Curve
from featstore.plots.curve import HEIGHT, LEFT, PANEL, RIGHT, TOPS, WIDTH, Axis, draw_curve
from featstore.plots.panels import limits_of
from featstore.plots.style import HEAD

FIRST, LAST = LEFT + 14, RIGHT - 14  # columns of the first and the last point
EPOCHS = [float(epoch) for epoch in range(1, 31)]


def pixels(curve: Curve, title: str = "photos: bn-dropout on tiny, 64 px") -> np.ndarray:
    """(height, width, 3), uint8."""
    with Image.open(io.BytesIO(draw_curve(curve, title))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (WIDTH, HEIGHT), "RGB")
        return np.asarray(image)


def blue(picture: np.ndarray, panel: str) -> np.ndarray:
    """Return where the colour of the head is in a panel, as (height of the panel, width)."""
    colour = [int(HEAD[place : place + 2], 16) for place in (1, 3, 5)]
    found = np.abs(picture.astype(int) - colour).max(axis=2) < 60
    return found[TOPS[panel] : TOPS[panel] + PANEL]


def height(picture: np.ndarray, panel: str, x: float) -> float:
    """The middle of the line at the column `x`, in pixels from the top of the panel."""
    return float(np.flatnonzero(blue(picture, panel)[:, round(x)]).mean())


def test_values_are_drawn_at_their_heights() -> None:
    """Losses above and accuracies below, each panel with its own axis and a little room."""
    falling = [1 - epoch / 40 for epoch in EPOCHS]
    picture = pixels(Curve("epoch", EPOCHS, {"val_loss": falling, "val_accuracy": [epoch / 40 for epoch in EPOCHS]}))
    for share in (0.1, 0.5, 0.9):
        x = FIRST + share * (LAST - FIRST)
        low, high, _ = limits_of("loss", falling)
        down = PANEL * (high - (falling[0] + share * (falling[-1] - falling[0]))) / (high - low)
        assert height(picture, "loss", x) == pytest.approx(down, abs=1.5)
        assert height(picture, "accuracy", x) == pytest.approx(PANEL - down, abs=1.5)


def test_the_best_epoch_is_marked_and_what_follows_is_pale() -> None:
    """Its weights were kept: the least validation loss, in both panels."""
    losses = [abs(epoch - 10) / 10 + 0.1 for epoch in EPOCHS]
    accuracies = [0.9 - abs(epoch - 20) / 100 for epoch in EPOCHS]
    picture = pixels(Curve("epoch", EPOCHS, {"val_loss": losses, "val_accuracy": accuracies}))
    best = FIRST + 9 / 29 * (LAST - FIRST)
    for panel in TOPS:
        column = blue(picture, panel)[:, round(best)]
        assert column.sum() >= 9  # a dot, not a line
    after = blue(picture, "loss")[: PANEL // 2, round(best) + 30 : RIGHT]
    assert not after.any()  # only the level of the best epoch goes on, at the bottom
    assert blue(picture, "loss")[PANEL // 2 :, RIGHT - 3].any()


def test_training_is_dashed_and_validation_is_not() -> None:
    """They differ without colour."""
    flat = {"loss": [0.2] * 30, "val_loss": [0.8 - 1e-6 * epoch for epoch in EPOCHS]}
    found = blue(pixels(Curve("epoch", EPOCHS, flat)), "loss")[:, FIRST + 40 : LAST - 40]
    rows = np.flatnonzero(found.any(axis=1))
    validation, training = found[rows[rows < PANEL / 2]].any(axis=0), found[rows[rows > PANEL / 2]].any(axis=0)
    assert validation.all()
    assert 0.4 < training.mean() < 0.9


def test_C_is_on_a_logarithmic_axis() -> None:
    """Each power of ten is as far from the next; the best C has a dot, and no C comes after another in time."""
    curve = Curve("C", [1e-5, 1e-4, 1e-3], {"cv_log_loss": [3.0, 1.0, 2.0], "cv_accuracy": [0.3, 0.9, 0.6]}, log_x=True)
    picture = pixels(curve)
    low, high, _ = limits_of("loss", [1.0, 3.0])
    assert height(picture, "loss", (FIRST + LAST) / 2) == pytest.approx(PANEL * (high - 1) / (high - low), abs=2)
    assert blue(picture, "loss")[: PANEL // 2 + 30, LAST].any()  # not pale


@pytest.mark.parametrize(("name", "best"), [("C", 1e-5), ("penalty", 31.6228), ("neighbours", 13.0)])
def test_the_figure_of_the_best_is_not_cut(name: str, best: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long name of the axis would leave no room for it."""
    monkeypatch.setattr("featstore.plots.canvas.shortened", lambda text, _: pytest.fail(f"{text} is cut"))
    pixels(Curve(name, [best, 100.0], {"cv_log_loss": [1.181, 2.0], "cv_accuracy": [0.525, 0.3]}, log_x=True))


def test_a_value_that_is_not_a_number_leaves_a_gap() -> None:
    """The line is there on both sides of it."""
    values = [math.nan if 10 <= epoch < 20 else 1.0 for epoch in EPOCHS]
    curve = Curve("epoch", EPOCHS, {"val_accuracy": values, "val_loss": [1 / epoch for epoch in EPOCHS]})
    columns = blue(pixels(curve), "accuracy").any(axis=0)
    step = (LAST - FIRST) / 29
    assert columns[round(FIRST + 5 * step)]
    assert not columns[round(FIRST + 10 * step) : round(FIRST + 18 * step)].any()
    assert columns[round(FIRST + 25 * step)]


numbers = st.floats(0, 1e30) | st.sampled_from([0.0, 5e-324, 1.0, math.nan, math.inf])


@settings(max_examples=60, deadline=None)
@example([(1e30, 0.5)] * 3, False, "t")
@given(st.lists(st.tuples(numbers, st.floats(0, 1)), min_size=1, max_size=30), st.booleans(), st.text(max_size=200))
def test_any_curve_can_be_drawn(values: list[tuple[float, float]], is_log: bool, title: str) -> None:
    """A training that diverged, one epoch, equal values; and any name of a base."""
    losses, accuracies = map(list, zip(*values, strict=True))
    x = [10.0 ** (number - 5) for number in range(len(values))] if is_log else list(map(float, range(len(values))))
    series = {"cv_log_loss": losses, "cv_accuracy": accuracies} if is_log else {"loss": losses, "accuracy": accuracies}
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters that no font here has
        pixels(Curve("C" if is_log else "epoch", x, series, is_log), title)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_and_a_handful(low: float, width: float) -> None:
    """Within the axis, at equal distances, at most six, and two at the least."""
    ticks = Axis(low, low + width, 0, 100).ticks()
    assert 2 <= len(ticks) <= 6
    rounding = 1e-9 * (abs(low) + width)
    assert low - rounding <= ticks[0]
    assert ticks[-1] <= low + width + rounding
    steps = np.diff(ticks)
    assert steps == pytest.approx(steps[0], rel=1e-4)
    assert f"{steps[0]:.0e}"[0] in "125"


@given(st.floats(1e-300, 1e300), st.floats(1.01, 1e30))
def test_ticks_of_a_logarithmic_axis_are_round_too(low: float, ratio: float) -> None:
    """1, 2 and 5 times powers of ten, or powers of ten, or some of them."""
    ticks = Axis(low, min(low * ratio, 1e305), 0, 100, is_log=True).ticks()
    assert len(ticks) <= 6
    assert all(f"{tick:.0e}"[0] in "125" for tick in ticks)
    assert ticks == sorted(ticks)


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
