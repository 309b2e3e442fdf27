"""The plot of a comparison: it grows with its rows and has the learning curves."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from featstore.heads.interface import Curve
from featstore.plots.comparison import _limits, draw_comparison


def plot(count: int, curves: int = 0) -> np.ndarray:
    labels = [f"a base, variant {n}" for n in range(count)]
    accuracies = [0.9 - 0.01 * n for n in range(count)]
    drawn = [(label, Curve("epoch", [1, 2, 3], {"val_accuracy": [0.5, 0.6, 0.7]})) for label in labels[:curves]]
    png = draw_comparison(labels, accuracies, [(a - 0.02, a + 0.01) for a in accuracies], drawn, "a title")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("count", [1, 8, 48])
def test_rows_have_room(count: int) -> None:
    """A quarter of an inch each, so that their names never overlap."""
    pixels = plot(count)
    assert pixels.shape[0] >= 0.24 * count * 120
    assert (pixels != 255).any(axis=2).mean() > 0.01


def test_curves_are_a_second_panel() -> None:
    """They are drawn below the accuracies."""
    assert plot(8, curves=8).shape[0] > plot(8).shape[0] + 300


def image(*arguments: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_comparison(*arguments))).convert("RGB"))


def is_framed(pixels: np.ndarray) -> bool:
    """Whether the outermost pixels are white all around."""
    return all((edge == 255).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))


def test_nothing_is_cut_at_the_edges() -> None:
    """A long legend fits, and very long names make the plot wider."""
    assert is_framed(plot(24, curves=24))
    name = "MobileNet 0.75, " * 8
    long = image([name], [0.9], [(0.8, 0.95)], [(name, Curve("epoch", [1, 2], {"accuracy": [0.5, 0.6]}))], "a title")
    assert is_framed(long)
    assert long.shape[1] > plot(1).shape[1]


def test_curves_do_not_narrow_the_rows() -> None:
    """The dots stand where they stand without the second panel, whatever its legend needs."""
    plain, both = plot(8), plot(8, curves=8)
    blue = [(p == (0x00, 0x72, 0xB2)).all(axis=2)[: len(plain) - 60].any(axis=0).nonzero()[0] for p in (plain, both)]
    assert abs(np.ptp(blue[0]) - np.ptp(blue[1])) <= 2


@pytest.mark.parametrize("name", [r"costs $\5$", "caf\udce9", "_hidden"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    """Dollar signs begin no formula, undecodable bytes of a path do no harm, and no label is hidden."""
    curve = Curve("epoch", [1], {"accuracy": [0.5]})
    shown = image([name], [0.9], [(0.8, 0.95)], [(name, curve)], name)
    other = image([name], [0.9], [(0.8, 0.95)], [("", curve)], name)
    assert shown.shape == other.shape
    assert (shown != other).any()


def test_validation_is_drawn_where_there_is_any() -> None:
    """Without it the accuracy is drawn, and losses never are."""

    def drawn(**series: list[float]) -> np.ndarray:
        return image(["a"], [0.9], [(0.8, 0.95)], [("a", Curve("epoch", [1, 2], series))], "t")

    held_out = drawn(loss=[1, 2], accuracy=[0.1, 0.9], val_accuracy=[0.5, 0.6])
    assert (held_out == drawn(accuracy=[0.5, 0.6])).all()
    assert (held_out != drawn(accuracy=[0.1, 0.9])).any()


@example(0.0, 0.0)
@example(1.0, 1.0)
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_axis_shows_the_interval_and_no_noise(one: float, other: float) -> None:
    """It spans at least 0.1 unless an end is near, and stays close to 0..1."""
    low, high = sorted((one, other))
    left, right = _limits([(low, high)])
    assert -0.031 < left < low <= high < right < 1.031
    assert right - left >= 0.05
    assert right - left >= 0.1 or low < 0.05 or high > 0.95
