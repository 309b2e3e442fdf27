"""Every chart with names in any script: drawn, or numbered and told, and never as empty boxes."""

from __future__ import annotations

import ast
import io
import logging
import pkgutil
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore import plots
from featstore.evaluation.metrics import compute_metrics
from featstore.heads.interface import Curve
from featstore.heads.rate_range import RateRange
from featstore.plots.comparison import draw_comparison
from featstore.plots.curve import draw_curve
from featstore.plots.fine_tuning import draw_fine_tuning
from featstore.plots.learning_curve import CurveLine, draw_learning_curve
from featstore.plots.network import Part, draw_network
from featstore.plots.rate_range import draw_rate_range
from featstore.plots.reliability import draw_reliability
from featstore.plots.sheet import Answer, draw_sheet

PACKAGE = Path(featstore.__file__).parent
DRAWS = {"Canvas", "Figure", "ImageDraw"}  # a module with one of these names draws
CURVE = Curve("epoch", [1, 2], {"loss": [2.0, 1.0], "accuracy": [0.5, 0.6]})
TUNED = Curve("epoch", [0, 1], {"loss": [float("nan"), 1.0], "accuracy": [float("nan"), 0.6]})


def reliability_of(name: str) -> bytes:
    right = np.linspace(0.01, 0.99, 20)
    metrics = compute_metrics(np.stack([right, 1 - right], axis=1), ["a"] * 20, ("a", "b"))
    assert metrics.reliability
    return draw_reliability(metrics.reliability, f"{name}: test", name)


CHARTS: dict[str, Callable[[str], bytes]] = {
    "draw_comparison": lambda name: draw_comparison([name], [0.9], [(0.8, 0.95)], [CURVE], f"{name}: test"),
    "draw_curve": lambda name: draw_curve(CURVE, f"{name}: test"),
    "draw_fine_tuning": lambda name: draw_fine_tuning(CURVE, TUNED, {}, f"{name}: test"),
    "draw_learning_curve": lambda name: draw_learning_curve([CurveLine(name, [5], [0.6], [(0.5, 0.7)])], "test"),
    "draw_network": lambda name: draw_network([Part(name, 1, (7, 7, 8), 9, 0, 0)], f"{name}: test"),
    "draw_rate_range": lambda name: draw_rate_range(RateRange([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], False), None, name),
    "draw_reliability": reliability_of,
    "draw_sheet": lambda name: draw_sheet([Answer(f"{name}.png", name, "0.9", False, "b")], f"{name}: test"),
}


def test_each_chart_is_here() -> None:
    """A new one is tried with names in any script too."""
    modules = [import_module(f"featstore.plots.{module.name}") for module in pkgutil.iter_modules(plots.__path__)]
    assert {name for module in modules for name in vars(module) if name.startswith("draw_")} == set(CHARTS)


def test_what_draws_text_asks_what_can_be_drawn() -> None:
    """Wherever it is in the package; the canvas itself is given what may be written on it."""
    careless = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        tree = ast.parse(text if any(name in text for name in DRAWS) else "")
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if names & DRAWS and "legible" not in called:
            careless.append(path.relative_to(PACKAGE).as_posix())
    assert careless == ["plots/canvas.py"]


@pytest.mark.parametrize("chart", CHARTS)
def test_a_word_without_a_font_is_told(
    chart: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In one warning that says what to install; matplotlib says nothing of its own."""
    monkeypatch.setattr("featstore.plots.fonts._system_fonts", lambda: ())
    featstore_fonts = import_module("featstore.plots.fonts")
    featstore_fonts.font_of.cache_clear()
    with warnings.catch_warnings(record=True) as told, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(CHARTS[chart]("猫"))) as picture:
            assert picture.format == "PNG"
    featstore_fonts.font_of.cache_clear()
    assert [str(one.message).partition("; ")[2] for one in told] == ["install Noto Sans CJK and draw it again"]
    assert not caplog.records
