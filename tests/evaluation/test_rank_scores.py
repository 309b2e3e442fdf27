"""Scores of how classes are ranked equal those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from featstore.evaluation.rank_scores import rank_scores


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 7), st.sampled_from([1, 2, 16]))
def test_they_are_those_of_scikit_learn(seed: int, n: int, width: int, decimals: int) -> None:
    """Means over the classes that images have, with many equal probabilities and with none."""
    rng = np.random.default_rng(seed)
    truth, probabilities = rng.integers(0, width, n), rng.dirichlet(np.ones(width), n).round(decimals)
    areas, precision = rank_scores(probabilities, truth)
    present = np.unique(truth)
    if len(present) < 2:
        assert (areas, precision) == (None, None)
        return
    assert areas is not None
    assert precision is not None
    one, given_to = (truth[:, None] == present).astype(int), probabilities[:, present]
    assert areas.value == pytest.approx(np.mean([roc_auc_score(a, b) for a, b in zip(one.T, given_to.T, strict=True)]))
    expected = [average_precision_score(a, b) for a, b in zip(one.T, given_to.T, strict=True)]
    assert precision.value == pytest.approx(np.mean(expected))


def test_two_classes_have_the_usual_area() -> None:
    """That of the one is that of the other; probabilities may be float32."""
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 2, 50), rng.random(50).astype(np.float32)
    found = rank_scores(np.stack([1 - p, p], axis=1), truth).auroc
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(truth, p), abs=1e-6)


def test_equal_probabilities_rank_nothing() -> None:
    """The area is a half, and the average precision the share of the class."""
    areas, precision = rank_scores(np.full((40, 2), 0.5), np.repeat([0, 1], [30, 10]))
    assert areas is not None
    assert precision is not None
    assert (areas.value, precision.value) == (0.5, 0.5)  # of 0.75 and 0.25


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_the_influence_is_the_derivative_by_the_weight_of_an_image(name: str) -> None:
    """An image that counts a little more changes the score by that much."""
    rng = np.random.default_rng(0)
    truth, probabilities = rng.integers(0, 3, 20), rng.dirichlet(np.ones(3), 20).round(1)
    found = getattr(rank_scores(probabilities, truth), name)
    for image in (0, 7):
        more = 2000 + (np.arange(20) == image)
        repeated = rank_scores(probabilities.repeat(more, axis=0), truth.repeat(more))
        change = getattr(repeated, name).value - found.value
        assert change * 20 * 2000 == pytest.approx(found.influence[image], rel=1e-3)
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)
