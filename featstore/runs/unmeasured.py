"""What was answered to images without labels. Nothing can be measured of it, but it can be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from featstore.evaluation.strength import STRENGTHS, strength
from featstore.runs.image_answers import ImageAnswers
from featstore.system.figures import figure, percent
from featstore.system.text import Shown, Table, count

LEAST_SURE = 5  # images that are named
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


class AnsweredClass(NamedTuple):
    """How often a class was answered, and how sure the head was of it.

    Attributes:
        name: Name of the class.
        answers: Number of images that were answered with it.
        median_probability: Median of the probability of these answers; None if there are none.
    """

    name: str
    answers: int
    median_probability: float | None


class UnsureAnswer(NamedTuple):
    """An answer that the head is not sure of.

    Attributes:
        path: Path of the image.
        answer: The most probable class.
        probability: Its probability.
        second: The next probable class; None if there is only one class.
        probability_of_second: Its probability.
    """

    path: str
    answer: str
    probability: float
    second: str | None
    probability_of_second: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Unmeasured(Shown):
    """The answers to images without labels.

    Attributes:
        n: Number of images.
        classes: How often each class was answered.
        strengths: Number of answers that are `sure`, `fairly sure`, `leaning` or `a guess`.
        quantiles: Probability of the answer by share of the images: at 0.1, a tenth of the answers have at most this.
        least_sure: The answers of the smallest probability, the least sure first.
    """

    n: int
    classes: tuple[AnsweredClass, ...]
    strengths: dict[str, int]
    quantiles: dict[float, float]
    least_sure: tuple[UnsureAnswer, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield what was answered, how sure it is, and the least sure images."""
        yield f"{count(self.n, 'image')} without a label: nothing can be measured of them; what was answered:"
        rows = [
            (one.name, str(one.answers), percent(one.answers / self.n), _figure(one.median_probability))
            for one in self.classes
        ]
        yield Table(("class", "answers", "share", "median probability"), rows)
        tenth, half = (figure(self.quantiles[share]) for share in (0.1, 0.5))
        words = ", ".join(f"{number:,} {word}" for word, number in self.strengths.items() if number)
        yield f"{words}; half of the answers have a probability of at least {half}, a tenth of at most {tenth}"
        yield f"the least sure {'one' if len(self.least_sure) == 1 else len(self.least_sure)}:"
        yield Table(("image", "answer", "probability", "next", "its probability"), [_cells(u) for u in self.least_sure])

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "n": self.n,
            "classes": [one._asdict() for one in self.classes],
            "strengths": self.strengths,
            "quantiles": {f"{share:g}": probability for share, probability in self.quantiles.items()},
            "least_sure": [one._asdict() for one in self.least_sure],
        }


def sum_up(answers: ImageAnswers, least_sure: int = LEAST_SURE) -> Unmeasured:
    """Return what was answered to images without labels, of which there is at least one."""
    best, top = answers.probabilities.argmax(axis=1), answers.probabilities.max(axis=1)
    classes = []
    for place, name in enumerate(answers.classes):
        mine = top[best == place]
        classes.append(AnsweredClass(name, len(mine), float(np.median(mine)) if len(mine) else None))
    words = Counter(strength(probability, len(answers.classes)) for probability in top.tolist())
    return Unmeasured(
        n=len(answers),
        classes=tuple(classes),
        strengths={word: words[word] for word in STRENGTHS},
        quantiles={share: float(np.quantile(top, share)) for share in _QUANTILES},
        least_sure=tuple(_unsure(answers, place) for place in top.argsort(kind="stable")[:least_sure].tolist()),
    )


def _unsure(answers: ImageAnswers, place: int) -> UnsureAnswer:
    row = answers.probabilities[place]
    order = np.argsort(-row, kind="stable").tolist()
    second = order[1] if len(order) > 1 else None
    return UnsureAnswer(
        answers.paths[place],
        answers.classes[order[0]],
        float(row[order[0]]),
        None if second is None else answers.classes[second],
        0.0 if second is None else float(row[second]),
    )


def _cells(one: UnsureAnswer) -> tuple[str, ...]:
    return one.path, one.answer, figure(one.probability), one.second or "", figure(one.probability_of_second)


def _figure(value: float | None) -> str:
    return "-" if value is None else figure(value)
