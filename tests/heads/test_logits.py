"""Logits: probabilities of full precision near 0, and losses that are not cut off."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.heads.logits import loss_and_accuracy, probabilities_of


def test_probabilities_are_the_softmax() -> None:
    """In float64, whatever the type of the logits; constants and large logits do not matter."""
    logits = np.array([[0.5, -1.0, 2.0], [1000.5, 999.0, 1002.0]], np.float32)
    odds = np.exp([0.5, -1.0, 2.0])
    found = probabilities_of(logits)
    assert found.dtype == np.float64
    assert found == pytest.approx(np.stack([odds / odds.sum()] * 2), rel=1e-12)


def test_one_column_is_the_logit_of_the_second_of_two_classes() -> None:
    """Both probabilities are right, also the one that is 1 less a number below the resolution of float32."""
    found = probabilities_of(np.array([[0.0], [3.0], [50.0], [-50.0]], np.float32))
    z = np.array([0.0, 3.0, 50.0, -50.0])
    assert found == pytest.approx((1 / (1 + np.exp([z, -z]))).T, rel=1e-12)


@pytest.mark.parametrize("logit", [20.0, 60.0, 300.0, 690.0])
def test_the_loss_of_a_sure_mistake_is_its_logit(logit: float) -> None:
    """Otherwise early stopping would not see it shrink."""
    loss, accuracy = loss_and_accuracy(probabilities_of(np.array([[logit]], np.float32)), np.array([0]))
    assert loss == pytest.approx(logit, rel=1e-6)
    assert accuracy == 0


@pytest.mark.filterwarnings("error")
def test_no_logit_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the range of float64 a loss is finite; NaN stays NaN, and the callers refuse it."""
    with np.errstate(all="raise"):
        probabilities = probabilities_of(np.array([[1e30, -1e30], [np.nan, 0.0], [np.inf, 0.0]], np.float32))
    assert probabilities[0].tolist() == [1.0, 0.0]
    assert np.isnan(probabilities[1:]).all()
    assert loss_and_accuracy(probabilities[:1], np.array([1]))[0] == pytest.approx(708, abs=1)


def test_loss_and_accuracy_of_probabilities() -> None:
    """The loss is a mean in nats; the accuracy is a share."""
    probabilities = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [1.0 - 1e-20, 1e-20, 0.0]])
    found = loss_and_accuracy(probabilities, np.array([0, 2, 0, 1]))
    assert found == pytest.approx([-(np.log(0.5) + np.log(0.7) + np.log(1e-20)) / 4, 0.75])
