"""Predictions averaged over views equal the mean computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.evaluation.averaging import AVERAGES, predict_views


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def predict(X: np.ndarray) -> np.ndarray:
    """A head whose logits are the features."""
    return softmax(np.asarray(X, np.float64))


X = np.random.default_rng(0).normal(size=(6, 10, 4)).astype(np.float32) * 3


def test_probabilities_are_averaged_by_default() -> None:
    """Papers do the same."""
    by_hand = np.stack([softmax(X[:, view].astype(float)) for view in range(10)]).mean(axis=0)
    assert predict_views(predict, X) == pytest.approx(by_hand)


def test_logits_are_averaged_up_to_a_constant() -> None:
    """The softmax of the mean logits, though a head gives probabilities."""
    assert predict_views(predict, X, "logits") == pytest.approx(softmax(X.mean(axis=1)), rel=1e-4)


def test_features_are_averaged_before_the_head() -> None:
    """The head sees one row for each image."""
    seen: list[tuple[int, ...]] = []
    found = predict_views(lambda rows: (seen.append(rows.shape), predict(rows))[1], X, "features")
    assert seen == [(6, 4)]
    assert found == pytest.approx(softmax(X.mean(axis=1)))


@pytest.mark.parametrize("average", AVERAGES)
def test_one_view_is_itself(average: str) -> None:
    """This holds for every kind of average; a prediction of certainty 1 does not make the logits infinite."""
    assert predict_views(predict, X[:, :1], average) == pytest.approx(predict(X[:, 0]))
    certain = np.zeros((1, 2, 3), np.float32)
    certain[0, 0] = (900, 0, -900)
    assert np.isfinite(predict_views(predict, certain, average)).all()
