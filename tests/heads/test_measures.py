"""The figures that may choose the epoch, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from featstore.heads.measures import measure


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_scikit_learn(classes: int, seed: int) -> None:
    """Also where a class has no image, or is never answered."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), 20)
    probabilities[:, 0] += seed % 2  # one class takes most answers
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    targets, answers = random.integers(0, max(2, classes - seed), 20), probabilities.argmax(axis=1)
    found = measure(probabilities, targets, "balanced_accuracy") | measure(probabilities, targets, "macro_f1")
    assert found == pytest.approx(
        {
            "loss": log_loss(targets, probabilities, labels=range(classes)),
            "accuracy": accuracy_score(targets, answers),
            "balanced_accuracy": np.mean([(answers[targets == c] == c).mean() for c in np.unique(targets)]),
            "macro_f1": f1_score(targets, answers, average="macro"),
        }
    )
    if set(answers) <= set(targets):  # otherwise it warns
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, answers))


def test_only_what_is_asked_for_is_measured() -> None:
    """Loss and accuracy are always there: the curve has them."""
    assert list(measure(np.eye(2), np.array([0, 1]), "accuracy")) == ["loss", "accuracy"]
