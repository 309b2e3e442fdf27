"""Charts: that they are drawn, grow with their rows, and hold the curves."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from featstore.evaluation.charts import comparison_chart
from featstore.heads.base import Curve


def chart(count: int, curves: int = 0) -> np.ndarray:
    labels = [f"a base, variant {n}" for n in range(count)]
    accuracies = [0.9 - 0.01 * n for n in range(count)]
    drawn = {label: Curve("epoch", [1, 2, 3], {"val_accuracy": [0.5, 0.6, 0.7]}) for label in labels[:curves]}
    png = comparison_chart(labels, accuracies, [(a - 0.02, a + 0.01) for a in accuracies], drawn, "a title")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("count", [1, 8, 48])
def test_rows_have_room(count: int) -> None:
    """A quarter of an inch each, so that their names never overlap."""
    pixels = chart(count)
    assert pixels.shape[0] >= 0.24 * count * 120
    assert pixels.shape[1] == 1140
    assert (pixels != 255).any(axis=2).mean() > 0.01


def test_curves_are_a_second_panel() -> None:
    """Below the accuracies, which keep their room."""
    assert chart(8, curves=8).shape[0] > chart(8).shape[0] + 300


def test_nothing_is_cut_at_the_edges() -> None:
    """The outermost pixels are white all around, also with a long legend."""
    pixels = chart(24, curves=24)
    for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):
        assert (edge == 255).all()
