"""Which cell of a grid is better, on the same images: paired differences with intervals, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.metrics import Z95, wilson_interval

Context = tuple[tuple[str, str], ...]  # all factors of a cell but one

ORDER = ("preprocess", "model", "size", "views", "head")  # of the findings


class Cell(NamedTuple):
    """One cell, measured on the same held-out images in the same order as all others.

    factors: what it is, as in {"model": "VGG16", "preprocess": "keras"}. right: (n,) the share of the repetitions in
    which each image was answered rightly. log_loss: the mean.
    """

    factors: Mapping[str, str]
    right: NDArray[np.float64]
    log_loss: float


class Difference(NamedTuple):
    """A difference of accuracies with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def tells_apart(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def in_points(self) -> str:
        value, low, high = (round(100 * part, 1) + 0.0 for part in self)  # + 0.0: no "-0.0"
        return f"{value:.1f} points [{low:.1f}, {high:.1f}]"


class Ranked(NamedTuple):
    """A cell in the ranking; `place` is where it stood in the input."""

    place: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    difference_to_best: Difference


def paired_difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """Accuracy of `a` (n,) minus that of `b` (n,) over the same images.

    The interval is the adjusted Wald one for paired proportions, with half an image added to each of the four cells
    of the table (Agresti & Min 2005, Statistics in Medicine 24:729): unlike the plain one it holds its 95 % with few
    images and few disagreements. For shares of several repetitions the squares of the differences take the place of
    the count of disagreements.
    """
    d = np.asarray(a, float) - np.asarray(b, float)
    n, total, squares = len(d), float(d.sum()), float((d**2).sum())
    centre = total / (n + 2)
    half = Z95 * math.sqrt(max(0.0, squares + 1 - total**2 / (n + 2))) / (n + 2)
    value = total / n
    return Difference(value, max(-1.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


def rank(cells: Sequence[Cell]) -> list[Ranked]:
    """Best first: by accuracy, then by log loss, then as given; the best differs from itself by nothing."""
    accuracies = [float(cell.right.mean()) for cell in cells]
    order = sorted(range(len(cells)), key=lambda i: (-accuracies[i], cells[i].log_loss, i))
    best = cells[order[0]]
    ranked = []
    for place in order:
        cell = cells[place]
        none = place == order[0]
        difference = Difference(0.0, 0.0, 0.0) if none else paired_difference(cell.right, best.right)
        ranked.append(Ranked(place, accuracies[place], accuracy_interval(cell.right), difference))
    return ranked


def accuracy_interval(right: NDArray[np.float64]) -> tuple[float, float]:
    """95 % Wilson interval of the mean share; repetitions add no images, so they do not narrow it."""
    return wilson_interval(float(right.sum()), len(right))


def findings(cells: Sequence[Cell]) -> list[str]:
    """What the grid says, in plain words: the best cell, then each factor with all others held equal."""
    varied = [name for name in _names(cells) if len({cell.factors[name] for cell in cells}) > 1]
    sentences = [_best(cells, varied)]
    for name in varied:
        sentences += _of_factor(cells, name)
    return sentences


def _names(cells: Sequence[Cell]) -> list[str]:
    known = dict.fromkeys(name for cell in cells for name in cell.factors)
    return [name for name in ORDER if name in known] + [name for name in known if name not in ORDER]


def _best(cells: Sequence[Cell], varied: Sequence[str]) -> str:
    ranked = rank(cells)
    first = ranked[0]
    factors = cells[first.place].factors
    name = ", ".join(factors[f] for f in ("model", "preprocess", "size", "views", "head") if f in varied)
    low, high = first.accuracy_ci95
    n = len(cells[0].right)
    text = f"best: {name}: " if name else "accuracy "
    text += f"{first.accuracy:.3f} [{low:.3f}, {high:.3f}] on {n} images"
    if len(cells) == 1:
        return text
    close = sum(not other.difference_to_best.tells_apart for other in ranked[1:])
    return f"{text}; {close or 'none'} of {len(cells) - 1} other cells cannot be told apart from it"


def _of_factor(cells: Sequence[Cell], factor: str) -> list[str]:
    """A sentence for each level but the one that is compared with: the one with the best mean over shared contexts."""
    by_context: dict[Context, dict[str, NDArray[np.float64]]] = {}
    for cell in cells:
        context = tuple((name, value) for name, value in sorted(cell.factors.items()) if name != factor)
        by_context.setdefault(context, {})[cell.factors[factor]] = cell.right
    levels = list(dict.fromkeys(cell.factors[factor] for cell in cells))
    best = max(levels, key=lambda level: (_wins(level, by_context), -levels.index(level)))
    sentences = []
    for level in levels:
        pairs = {context: (r[best], r[level]) for context, r in by_context.items() if best in r and level in r}
        if level != best and pairs:
            sentences.append(_compare(best, level, pairs))
    return sentences


def _wins(level: str, by_context: Mapping[Context, dict[str, NDArray[np.float64]]]) -> float:
    """How far `level` is above the mean of its rivals, on average over the contexts that it shares with them."""
    leads = []
    for levels in by_context.values():
        rivals = [float(right.mean()) for other, right in levels.items() if other != level]
        if level in levels and rivals:
            leads.append(float(levels[level].mean()) - sum(rivals) / len(rivals))
    return sum(leads) / len(leads) if leads else -math.inf


Pairs = Mapping[Context, tuple[NDArray[np.float64], NDArray[np.float64]]]


def _compare(one: str, other: str, pairs: Pairs) -> str:
    singly = {context: paired_difference(a, b) for context, (a, b) in pairs.items()}
    better = {context: d for context, d in singly.items() if d.low > 0}
    worse = {context: d for context, d in singly.items() if d.high < 0}
    if better and worse:
        return f"`{one}` against `{other}` depends on the rest: {_extreme(better, singly)}, {_extreme(worse, singly)}"
    mean = paired_difference(
        np.mean([a for a, _ in pairs.values()], axis=0), np.mean([b for _, b in pairs.values()], axis=0)
    )
    over = f" over {len(pairs)} pairs of cells" if len(pairs) > 1 else ""
    if mean.low > 0:
        return f"`{one}` beats `{other}` by {mean.in_points()}{over}"
    if mean.high < 0:
        return f"`{other}` beats `{one}` by {_turned(mean).in_points()}{over}"
    n = len(next(iter(pairs.values()))[0])
    return f"`{one}` and `{other}` cannot be told apart on {n} images ({mean.in_points()}{over})"


def _extreme(some: Mapping[Context, Difference], all_: Mapping[Context, Difference]) -> str:
    """The clearest of `some`, named by what varies among all contexts."""
    context = max(some, key=lambda c: abs(some[c].value))
    varied = [place for place in range(len(context)) if len({c[place][1] for c in all_}) > 1]
    where = ", ".join(context[place][1] for place in varied)
    difference = some[context]
    word = "better" if difference.value > 0 else "worse"
    shown = difference if difference.value > 0 else _turned(difference)
    return f"{word} with {where} by {shown.in_points()}"


def _turned(difference: Difference) -> Difference:
    return Difference(-difference.value, -difference.high, -difference.low)
