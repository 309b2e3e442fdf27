"""The wide layer: each of its parts is the head `linear` that Keras trains alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featstore.errors import UsageError
from featstore.heads import keras_head
from featstore.heads.interface import Labelled
from featstore.heads.linear_head import LinearHead
from featstore.sweeping.wide_linear import can_be_wide, fit_wide, train_wide

N, WIDTH = 85, 6  # of which the last batch of 16 has five rows
GRID = [(1e-3, 3.0), (1e-2, 0.0), (0.1, 3.0)]


def make_rows(classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.intp], Labelled]:
    """Rows to train on and rows to stop on, whose features have scales of their own, and one does not vary."""
    random = np.random.default_rng(seed)
    y = np.arange(N + 40) % classes
    X = random.normal(size=(len(y), WIDTH)) + random.normal(size=(classes, WIDTH))[y]
    X = (5 + X * np.array([0.1, 1, 10, 1, 1, 0])).astype(np.float32)
    return X[:N], y[:N], (X[N:], y[N:])


def make_heads(**parameters: Any) -> list[LinearHead]:
    given = {"batch": 16, "epochs": 25, "patience": 4, **parameters}
    return [LinearHead(rate=rate, weight_decay=decay, **given) for rate, decay in GRID]


@pytest.mark.tf
@pytest.mark.parametrize(
    ("classes", "parameters"),
    [(3, {}), (2, {"monitor": "accuracy", "scaling": "none"})],
)
def test_each_part_is_the_head_that_is_trained_alone(classes: int, parameters: dict[str, Any]) -> None:
    X, y, validation = make_rows(classes)
    heads = make_heads(**parameters)
    fits = fit_wide(heads, X, y, validation, 7)
    found = train_wide(heads, X, y, validation, 7)
    for head, fit, part in zip(heads, fits, found, strict=True):
        head.fit(X, y, validation, 7)
        assert head.selected()["best_epoch"] == fit.best_epoch
        assert not isinstance(part, UsageError)
        np.testing.assert_allclose(part.predict_proba(validation[0]), head.predict_proba(validation[0]), atol=2e-4)
    assert len({fit.best_epoch for fit in fits}) > 1


@pytest.mark.tf
def test_without_images_to_stop_on_the_last_epoch_is_kept() -> None:
    X, y, _ = make_rows(3)
    head = make_heads(epochs=3)[0]
    [part] = train_wide([head], X, y, None, 0)
    head.fit(X, y, None, 0)
    assert not isinstance(part, UsageError)
    np.testing.assert_allclose(part.predict_proba(X), head.predict_proba(X), atol=2e-4)


def test_a_part_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on when they stop, nor on TensorFlow, which is not needed."""
    monkeypatch.setattr(keras_head, "load_tensorflow", lambda: pytest.fail("loads TensorFlow"))
    X, y, validation = make_rows(3)
    together = fit_wide(make_heads(), X, y, validation, 0)
    for place, head in enumerate(make_heads()):
        [alone] = fit_wide([head], X, y, validation, 0)
        assert alone.best_epoch == together[place].best_epoch
        np.testing.assert_allclose(alone.weights, together[place].weights, atol=1e-5)


def test_a_part_that_diverges_leaves_the_others_as_they_are() -> None:
    X, y, validation = make_rows(3)
    good, bad = LinearHead(rate=0.01, epochs=5), LinearHead(rate=1e38, epochs=5)
    error, beside = train_wide([bad, good], X, y, validation, 0)
    [alone] = train_wide([good], X, y, validation, 0)
    assert isinstance(error, UsageError)
    assert str(error).startswith("head linear at rate 1e+38: training diverged")
    assert not isinstance(beside, UsageError)
    assert not isinstance(alone, UsageError)
    np.testing.assert_allclose(beside.coefficients, alone.coefficients, atol=1e-5)


@pytest.mark.parametrize(
    ("fixed", "can"),
    [
        ({}, True),
        ({"epochs": 5, "batch": 8, "patience": 3, "monitor": "accuracy", "scaling": "none", "rate": 0.1}, True),
        ({"optimizer": "sgd"}, False),
        ({"schedule": "cosine"}, False),
        ({"mixup": 0.2}, False),
        ({"label_smoothing": 0.1}, False),
        ({"class_weights": "balanced"}, False),
    ],
)
def test_what_the_layer_does_not_follow_is_trained_alone(fixed: dict[str, Any], can: bool) -> None:
    assert can_be_wide(fixed) is can
