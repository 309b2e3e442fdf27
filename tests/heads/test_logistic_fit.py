"""The fits of `logistic`: without a copy of the rows, and each as far as its C is told from the one before."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from featstore.heads import logistic, logistic_fit
from featstore.heads.registry import make_head


def noisy_rows(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of two classes that overlap, and their classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(3, 1, size=(count, width)).astype(np.float32)
    return X, (X[:, :3].sum(axis=1) + rng.normal(0, 2, count) > 9).astype(int)


def test_many_rows_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the folds nor for the last fit: all that a fit takes is far less than the rows themselves."""
    monkeypatch.setattr(logistic_fit, "_FEW", 0)
    monkeypatch.setattr(logistic, "C_GRID", (1e-4, 1e-3))
    X, y = noisy_rows(8000, 256)
    head = make_head("logistic", {"max_iter": 2})
    head.fit(X[:100], y[:100], None, 0)  # imports count as memory too
    tracemalloc.start()
    try:
        head.fit(X, y, None, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_few_rows_that_are_kept_have_the_same_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: they are standardised once instead of each time, and nothing else."""
    X, y = noisy_rows(300, 10)

    def fitted() -> Any:
        head: Any = make_head("logistic")
        head.fit(X, y, None, 0)
        return head

    kept = fitted()
    monkeypatch.setattr(logistic_fit, "_FEW", 0)
    again = fitted()
    assert kept.curve.series == again.curve.series
    assert np.array_equal(kept.predict_proba(X), again.predict_proba(X))


def test_of_many_rows_each_C_has_a_loss_of_its_own() -> None:
    """A fit that starts close to its end is not taken for one that has ended, as long as C says anything."""
    X, y = noisy_rows(8000, 8)
    head = make_head("logistic")
    head.fit(X, y, None, 0)
    losses = head.curve.series["cv_log_loss"]
    told_apart = [loss for C, loss in zip(head.curve.x, losses, strict=True) if C <= 0.1]
    assert len(set(told_apart)) == len(told_apart) == 5
