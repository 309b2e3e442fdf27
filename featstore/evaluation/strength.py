"""Words for how sure an answer is, from its probability."""

from __future__ import annotations

STRENGTHS = ("sure", "fairly sure", "leaning", "a guess")
SURE, FAIRLY_SURE = 0.95, 0.8
_LIKELY = 0.5  # below it an answer is wrong more often than right
_ABOVE_CHANCE = 0.1  # of two classes chance alone is right in half of the cases, so an answer must be above that


def strength(probability: float, classes: int) -> str:
    """Return `sure`, `fairly sure`, `leaning` or `a guess` for the probability of the best of `classes` classes.

    If the probabilities are right, a `sure` answer is wrong in at most 5 of 100 cases, and a `fairly sure` one in at
    most 20. `a guess` is below 0.5, or below 0.6 for two classes.
    """
    if probability >= SURE:
        return "sure"
    if probability >= FAIRLY_SURE:
        return "fairly sure"
    return "leaning" if probability >= max(_LIKELY, 1 / classes + _ABOVE_CHANCE) else "a guess"
