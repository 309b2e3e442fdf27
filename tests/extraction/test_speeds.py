"""The speed of bases here: a row for each engine, precision and batch, and what cannot be measured is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from featstore.engines import precision, trial
from featstore.errors import BaseUnavailable, UsageError
from featstore.extraction.recipe import Recipe
from featstore.extraction.speeds import measure_speeds

TINY = Recipe(model="tiny", weights="random", size=32)


def test_each_engine_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow in float32 comes first: the others are compared with it, in speed and in values."""
    pytest.importorskip("openvino")
    assert tf.__version__
    monkeypatch.setattr(trial, "BATCHES", {"CPU": (2, 1)})
    monkeypatch.setattr(trial, "measure_rate", lambda network, pixels: 10.0 * network.batch)
    speeds = measure_speeds([TINY], ["float32"], tmp_path / "cache")
    (name, found), *_ = speeds.speeds.items()
    assert name == "tiny at 32x32 px"
    assert [(speed.engine.split()[0], speed.batch) for speed in found] == [
        ("tensorflow", 32),
        ("openvino", 1),
        ("openvino", 2),
    ]
    assert [speed.difference < 1e-5 for speed in found] == [True] * 3
    assert "0.03" in str(speeds)
    assert speeds.describe()["speeds"][name][2]["rate"] == 20.0


def test_what_cannot_be_measured_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    with pytest.raises(BaseUnavailable, match=r"precision='bfloat16': cannot be computed on this machine"):
        measure_speeds([TINY], ["bfloat16"], tmp_path)
    with pytest.raises(UsageError, match="pixels.*: is not a network"):
        measure_speeds([Recipe(model="pixels")], ["float32"], tmp_path)
