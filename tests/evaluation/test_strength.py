"""Words for probabilities."""

from __future__ import annotations

import pytest

from featstore.evaluation.strength import strength


@pytest.mark.parametrize(
    "probability, word",
    [(0.5, "a guess"), (0.6, "leaning"), (0.79, "leaning"), (0.8, "fairly sure"), (0.95, "sure"), (1.0, "sure")],
)
def test_words_for_two_classes(probability: float, word: str) -> None:
    """At a limit the stronger word is used."""
    assert strength(probability, 2) == word


def test_of_more_classes_an_answer_is_a_guess_if_it_is_probably_wrong() -> None:
    """0.55 of two classes is hardly more than chance; of three or ten it is more than all others together."""
    assert strength(0.55, 2) == "a guess"
    assert [strength(0.55, classes) for classes in (3, 10, 1000)] == ["leaning"] * 3
    assert [strength(0.49, classes) for classes in (3, 10, 1000)] == ["a guess"] * 3
