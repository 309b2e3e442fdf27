"""Log losses and the score of Brier equal those of scikit-learn, and have intervals where these mean anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from featstore.evaluation.probability_scores import brier, log_loss_interval
from featstore.evaluation.units import Units


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 7))
def test_brier_is_that_of_scikit_learn(seed: int, n: int, width: int) -> None:
    """For two classes it is half of the sum, the square for one of them; the probabilities are left as they are."""
    rng = np.random.default_rng(seed)
    truth, probabilities = rng.integers(0, width, n), rng.dirichlet(np.ones(width), n)
    before = probabilities.copy()
    if width == 2:
        expected = brier_score_loss(truth, probabilities[:, 1], labels=[0, 1])
    else:
        expected = ((probabilities - np.eye(width)[truth]) ** 2).sum(axis=1).mean()  # scikit-learn before 1.7 has none
    assert brier(probabilities, truth).value == pytest.approx(expected)
    assert np.array_equal(probabilities, before)


def test_a_log_loss_of_few_mistakes_has_no_interval() -> None:
    """Nothing bounds what the next mistake costs. Ten of one patient are one."""
    losses = np.where(np.arange(200) < 10, 2.0, 0.1)
    right = (losses < 1).astype(float)
    found = log_loss_interval(losses, right, Units.single(200))
    assert found is not None
    low, high = found
    assert 0 < low < losses.mean() < high
    assert log_loss_interval(losses[1:], right[1:], Units.single(199)) is None
    assert log_loss_interval(losses, right, Units(np.arange(200) // 10)) is None
