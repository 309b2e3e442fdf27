"""Answers that may be unsure: the set of classes of each image, with a promise of how often the right one is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from featstore.errors import RunError, UsageError, param
from featstore.runs.run import Run
from featstore.system.text import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMED = 3  # classes of an answer, at most; with more it is `not sure`


def threshold_for(run: Run, level: float) -> float:
    """Return the largest score that a class in a set may have, for a promise of `level`.

    Raises UsageError for a level that cannot be promised, RunError for a run without scores.
    """
    from featstore.evaluation.conformal import threshold_of

    if not 0 < level < 1:
        raise UsageError(f"{param('unsure', level)}: expected a number between 0 and 1, such as 0.9")
    if run.conformal is None:
        raise RunError(
            f"{run.folder}: has no scores of validation images, which {param('unsure')} needs: it was trained without "
            "a validation split, or by an older featstore; train it again with such a split"
        )
    return threshold_of(run.conformal, level)


def answers_of(probabilities: NDArray[np.float64], threshold: float, classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the classes in the set of each image, the most probable first."""
    import numpy as np

    from featstore.evaluation.conformal import classes_in_sets

    inside, order = classes_in_sets(probabilities, threshold), np.argsort(-probabilities, axis=1, kind="stable")
    return [tuple(classes[c] for c in row if is_in[c]) for row, is_in in zip(order, inside, strict=True)]


def describe_answer(answer: Sequence[str], classes: int) -> str:
    """Return an answer as text: `cat`, `cat or dog`, or `not sure` for all classes and for more than three."""
    if len(answer) == 1:
        return answer[0]
    if len(answer) == classes:
        return "not sure"
    if len(answer) > _NAMED:
        return f"not sure ({len(answer)} classes)"
    return f"{', '.join(answer[:-1])} or {answer[-1]}"


def describe_answers(answers: Sequence[Sequence[str]], level: float) -> str:
    """Return in a sentence how many images have how many classes, and what is promised."""
    promise = f"the right class is among them for {level:.6g} of images like those of validation, or more"
    sizes = Counter(map(len, answers))
    if set(sizes) == {1}:
        return f"each image has one class: {promise}; ask for more to see doubts"
    parts = [
        f"{count(number, 'image')} with {size} class{'es' if size > 1 else ''}"
        for size, number in sorted(sizes.items())
    ]
    return f"{', '.join(parts)}: {promise}"
