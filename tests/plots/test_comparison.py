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
    curve = Curve("epoch", [1, 2, 3], {"val_accuracy": [0.5, 0.6, 0.7]})
    drawn = [curve if n < curves else None for n in range(count)]
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
    long = image([name], [0.9], [(0.8, 0.95)], [Curve("epoch", [1, 2], {"accuracy": [0.5, 0.6]})], "a title")
    assert is_framed(long)
    assert long.shape[1] > plot(1).shape[1]


def test_a_long_title_has_several_lines() -> None:
    """What all rows share stands in it, and nothing of it is cut off."""
    pixels = image(["a", "b"], [0.5, 0.6], [(0.4, 0.6), (0.5, 0.7)], [None, None], "a word of the title " * 12)
    edges = np.concatenate([pixels[:, :3], pixels[:, -3:]], axis=1)
    assert (edges == 255).all()


def test_curves_do_not_narrow_the_rows() -> None:
    """The dots stand where they stand without the second panel, whatever its legend needs."""
    plain, both = plot(8), plot(8, curves=8)
    blue = [(p == (0x00, 0x72, 0xB2)).all(axis=2)[: len(plain) - 60].any(axis=0).nonzero()[0] for p in (plain, both)]
    assert abs(np.ptp(blue[0]) - np.ptp(blue[1])) <= 2


@pytest.mark.parametrize("name", [r"costs $\5$", "caf\udce9", "_hidden"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    """Dollar signs begin no formula, undecodable bytes of a path do no harm, and no label is hidden."""
    curve = Curve("epoch", [1], {"accuracy": [0.5]})
    shown = image([name, "b"], [0.9, 0.8], [(0.8, 0.95)] * 2, [curve, None], name)
    other = image(["", "b"], [0.9, 0.8], [(0.8, 0.95)] * 2, [curve, None], name)
    assert shown.shape == other.shape
    assert (shown != other).any()


def test_validation_is_drawn_where_there_is_any() -> None:
    """Without it the accuracy is drawn, and losses never are."""

    def drawn(**series: list[float]) -> np.ndarray:
        return image(["a"], [0.9], [(0.8, 0.95)], [Curve("epoch", [1, 2], series)], "t")

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


def legend_and_ticks(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> tuple[Any, list[str], list[float]]:
    """Return the axes of the curves, the texts of their legend from the top down, and the numbers below them."""
    drawn: list[Any] = []
    monkeypatch.setattr("featstore.plots.comparison.render", lambda figure, kind: drawn.append(figure) or b"")
    draw_comparison(*arguments)
    axes = drawn[0].axes[-1]
    return axes, [text.get_text() for text in axes.get_legend().get_texts()], axes.get_xticks().tolist()


def test_the_legend_has_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best first; a row without epochs is in it too, since its line would be looked for."""
    epochs = [float(epoch) for epoch in range(1, 38)]
    curve = Curve(
        "epoch", epochs, {"val_loss": [abs(x - 30) for x in epochs], "val_accuracy": [x / 40 for x in epochs]}
    )
    intervals = [(0.6, 0.95)] * 3
    axes, legend, ticks = legend_and_ticks(
        monkeypatch, ["b", "c", "a"], [0.9, 0.8, 0.7], intervals, [curve, None, curve], "t", "seed 3"
    )
    assert legend == ["b", "c (no epochs)", "a", "best epoch, by loss"]
    assert ticks == [1, 5, 10, 15, 20, 25, 30, 37]
    assert axes.get_ylabel() == "validation accuracy, seed 3"
    markers = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in markers] == [30, 30]


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_it_is_the_kind_of_file_that_was_asked_for(kind: Any, start: bytes) -> None:
    """A file called .pdf that holds a PNG opens nowhere."""
    assert draw_comparison(["a"], [0.9], [(0.8, 0.95)], [None], "t", kind=kind).startswith(start)
