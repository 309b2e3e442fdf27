"""Answers that may be unsure, as text and as errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from featstore.errors import RunError, UsageError
from featstore.runs.answers import answers_of, describe_answer, describe_answers, threshold_for


def run_with(*scores: float) -> Any:
    return SimpleNamespace(folder="runs/some", conformal=scores or None)


def test_an_answer_reads_as_one_would_say_it() -> None:
    """All classes, or more than three, are no answer."""
    assert describe_answer(["cat"], 2) == "cat"
    assert describe_answer(["cat", "dog"], 2) == "not sure"
    assert describe_answer(["cat", "dog"], 3) == "cat or dog"
    assert describe_answer(["cat", "dog", "fox"], 9) == "cat, dog or fox"
    assert describe_answer(["cat", "dog", "fox", "owl"], 9) == "not sure (4 classes)"
    assert describe_answer(list("abcdefghi"), 9) == "not sure"


def test_the_most_probable_class_comes_first() -> None:
    """Of the classes in the set."""
    p = np.array([[0.2, 0.5, 0.3], [0.05, 0.05, 0.9]])
    assert answers_of(p, 0.75, "abc") == [("b", "c"), ("c",)]


def test_a_sentence_says_what_is_promised() -> None:
    """With the number of images by the size of their sets."""
    assert describe_answers([["a"], ["a", "b"], ["b"], ["b"]], 0.9) == (
        "3 images with 1 class, 1 image with 2 classes: the right class is among them for 0.9 of images like those of "
        "validation, or more"
    )
    assert "ask for more to see doubts" in describe_answers([["a"], ["b"]], 0.9)


@pytest.mark.parametrize("level", [0, 1, 90, -0.1, float("nan")])
def test_a_share_is_between_0_and_1(level: float) -> None:
    """90 is what someone writes who means 0.9."""
    with pytest.raises(UsageError, match=r"`?unsure`?=.*: expected a number between 0 and 1, such as 0\.9"):
        threshold_for(run_with(0.1), level)


def test_a_run_must_have_scores_and_enough_of_them() -> None:
    """The message says how many."""
    assert threshold_for(run_with(*[0.1] * 8, 0.4), 0.9) == 0.4
    with pytest.raises(UsageError, match="needs 9 validation images, or groups of them, found 8: ask for 0.88 or less"):
        threshold_for(run_with(*[0.1] * 8), 0.9)
    with pytest.raises(RunError, match="train it again with such a split"):
        threshold_for(run_with(), 0.9)
