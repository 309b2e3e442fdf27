"""The plot of a learning curve: nothing is cut off, with any names and however many heads."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from featstore.plots.learning_curve import CurveLine, draw_learning_curve


def draw(*names: str, title: str = "a title", law: bool = True) -> np.ndarray:
    sizes, accuracies = [5.0, 10.0, 20.0, 37.5], [0.5, 0.6, 0.7, 0.75]
    intervals = [(a - 0.1, a + 0.05) for a in accuracies]
    beyond = ([10.0, 50.0], [0.6, 0.8]) if law else ([], [])
    lines = [CurveLine(name, sizes, accuracies, intervals, *beyond) for name in names]
    return np.asarray(Image.open(io.BytesIO(draw_learning_curve(lines, title))).convert("RGB"))


def test_the_plot_is_framed_by_white() -> None:
    """With a name that looks like a formula, a long title and many heads; the law is drawn where there is one."""
    for pixels in (draw("logistic"), draw(*(f"head ${n}" for n in range(9)), title="a word of the title " * 12)):
        assert all((edge == 255).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))
        assert (pixels != 255).any(axis=2).mean() > 0.01
    assert (draw("logistic") != draw("logistic", law=False)).any()


def test_the_same_curve_is_the_same_file() -> None:
    assert (draw("logistic") == draw("logistic")).all()
