"""Which cell of a grid is better, on the same images: paired differences with intervals, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.metrics import wilson_interval
from featstore.evaluation.paired import Difference, paired_difference

Context = tuple[tuple[str, str], ...]  # all factors of a cell but one
Pairs = Mapping[Context, tuple[NDArray[np.float64], NDArray[np.float64]]]  # two levels of that one, (n,) each

OF_FINDINGS = ("preprocess", "model", "size", "views", "head")
OF_NAMES = ("model", "preprocess", "size", "views", "head")  # as `featstore compare` orders its columns
OF_REASONS = ("head", "model", "size", "views", "preprocess")  # a new head explains more than the base that it implies


class Cell(NamedTuple):
    """One cell, measured on the same held-out images in the same order as all others.

    factors: what it is, as in {"model": "VGG16", "preprocess": "keras"}. right: (n,) the share of the repetitions in
    which each image was answered rightly. log_loss: the mean.
    """

    factors: Mapping[str, str]
    right: NDArray[np.float64]
    log_loss: float


class Ranked(NamedTuple):
    """A cell in the ranking; `place` is where it stood in the input."""

    place: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    difference_to_best: Difference


def rank(cells: Sequence[Cell]) -> list[Ranked]:
    """Best first: by accuracy, then by log loss, then as given; the best differs from itself by nothing."""
    accuracies = [float(cell.right.mean()) for cell in cells]
    # rounded: shares of three seeds that add up to the same accuracy may differ in the last bit
    order = sorted(range(len(cells)), key=lambda i: (-round(accuracies[i], 12), cells[i].log_loss, i))
    best = cells[order[0]]
    ranked = []
    for place in order:
        cell = cells[place]
        none = place == order[0]
        difference = Difference(0.0, 0.0, 0.0) if none else paired_difference(cell.right, best.right)
        difference = difference._replace(value=min(0.0, difference.value))  # that last bit again
        ranked.append(Ranked(place, accuracies[place], accuracy_interval(cell.right), difference))
    return ranked


def accuracy_interval(right: NDArray[np.float64]) -> tuple[float, float]:
    """95 % Wilson interval of the mean share; repetitions add no images, so they do not narrow it."""
    return wilson_interval(float(right.sum()), len(right))


def findings(cells: Sequence[Cell]) -> list[str]:
    """What the grid says, in plain words: the best cell, then each factor with all others held equal."""
    known = dict.fromkeys(name for cell in cells for name in cell.factors)
    varied = [name for name in known if len({cell.factors[name] for cell in cells}) > 1]
    sentences = [_best(cells, varied)]
    for name in _ordered(varied, OF_FINDINGS):
        sentences += _of_factor(cells, name)
    return sentences


def _ordered(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """`names` in the given order, then those that it does not know."""
    rest = list(names)
    return [name for name in order if name in rest] + [name for name in rest if name not in order]


def _best(cells: Sequence[Cell], varied: Sequence[str]) -> str:
    ranked = rank(cells)
    first = ranked[0]
    name = ", ".join(cells[first.place].factors[factor] for factor in _ordered(varied, OF_NAMES))
    low, high = first.accuracy_ci95
    text = f"best: {name}: " if name else "accuracy "
    text += f"{first.accuracy:.3f} [{low:.3f}, {high:.3f}] on {len(cells[0].right)} images"
    others = len(cells) - 1
    close = sum(not other.difference_to_best.tells_apart for other in ranked[1:])
    if others == 0:
        return text
    if others == 1:
        return f"{text}; the other cell {'cannot be told apart from it' if close else 'is clearly worse'}"
    return f"{text}; " + (
        f"{close} of {others} other cells cannot be told apart from it"
        if close
        else f"all {others} other cells are clearly worse"
    )


def _of_factor(cells: Sequence[Cell], factor: str) -> list[str]:
    """A sentence for each level but the one that is compared with: the one with the best mean over shared contexts."""
    by_context: dict[Context, dict[str, NDArray[np.float64]]] = {}
    for cell in cells:
        context = tuple((name, cell.factors[name]) for name in _ordered(cell.factors, OF_NAMES) if name != factor)
        by_context.setdefault(context, {})[cell.factors[factor]] = cell.right
    levels = list(dict.fromkeys(cell.factors[factor] for cell in cells))
    best = max(levels, key=lambda level: (_wins(level, by_context), -levels.index(level)))
    sentences = []
    for level in levels:
        pairs = {context: (r[best], r[level]) for context, r in by_context.items() if best in r and level in r}
        if level != best and pairs:
            sentences.append(_kind(factor) + _compare(best, level, pairs))
    return sentences


def _kind(factor: str) -> str:
    """What the levels are levels of, where they do not say so themselves: `ten` alone could be anything."""
    return "" if factor in ("preprocess", "model", "head") else f"{factor} "


def _wins(level: str, by_context: Mapping[Context, dict[str, NDArray[np.float64]]]) -> float:
    """How far `level` is above the mean of its rivals, on average over the contexts that it shares with them."""
    leads = []
    for levels in by_context.values():
        rivals = [float(right.mean()) for other, right in levels.items() if other != level]
        if level in levels and rivals:
            leads.append(float(levels[level].mean()) - sum(rivals) / len(rivals))
    return round(sum(leads) / len(leads), 12) if leads else -math.inf  # rounded: as in `rank`


def _compare(one: str, other: str, pairs: Pairs) -> str:
    # Bonferroni: of many pairs, some would stand apart in both directions by chance alone
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    singly = {context: paired_difference(a, b, z) for context, (a, b) in pairs.items()}
    if any(d.low > 0 for d in singly.values()) and any(d.high < 0 for d in singly.values()):
        return f"`{one}` against `{other}` depends on {_reason(pairs, singly)}"
    mean, over = _pooled(pairs), _over(pairs)
    if mean.low > 0:
        return f"`{one}` beats `{other}` by {mean.in_points()}{over}"
    if mean.high < 0:
        return f"`{other}` beats `{one}` by {_turned(mean).in_points()}{over}"
    n = len(next(iter(pairs.values()))[0])
    return f"`{one}` and `{other}` cannot be told apart on {n} images ({mean.in_points()}{over})"


def _reason(pairs: Pairs, singly: Mapping[Context, Difference]) -> str:
    """The factor whose levels part the pairs that disagree, with the mean on each side; else the two extremes."""
    better = [dict(context) for context, d in singly.items() if d.low > 0]
    worse = [dict(context) for context, d in singly.items() if d.high < 0]
    for factor in _ordered(better[0], OF_REASONS):
        of_level: dict[str, dict[Context, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
        for context, pair in pairs.items():
            of_level.setdefault(dict(context)[factor], {})[context] = pair
        means = {level: _pooled(some) for level, some in of_level.items()}
        pros = [level for level, mean in means.items() if mean.low > 0]
        cons = [level for level, mean in means.items() if mean.high < 0]
        if {c[factor] for c in better}.issubset(pros) and {c[factor] for c in worse}.issubset(cons):
            sides = [
                (" and ".join(side), {c: p for x in side for c, p in of_level[x].items()}) for side in (pros, cons)
            ]
            unclear = [level for level in means if level not in pros + cons]
            rest = f", no clear difference with {' and '.join(unclear)}" if unclear else ""
            return f"the {factor}: {_side(*sides[0])}, {_side(*sides[1])}{rest}"
    least, most = sorted(pairs, key=lambda context: singly[context].value)[:: len(pairs) - 1]
    varied = [place for place in range(len(most)) if len({context[place] for context in pairs}) > 1]
    shown = [_side(", ".join(c[place][1] for place in varied), {c: pairs[c]}) for c in (most, least)]
    return f"the rest: {shown[0]}, {shown[1]}"


def _side(where: str, pairs: Pairs) -> str:
    mean = _pooled(pairs)
    if mean.value < 0:
        return f"worse with {where} by {_turned(mean).in_points()}{_over(pairs)}"
    return f"better with {where} by {mean.in_points()}{_over(pairs)}"


def _pooled(pairs: Pairs) -> Difference:
    """The mean over the pairs, taken for each image first: the pairs share their images and are not independent."""
    return paired_difference(
        np.mean([a for a, _ in pairs.values()], axis=0), np.mean([b for _, b in pairs.values()], axis=0)
    )


def _over(pairs: Pairs) -> str:
    return f" over {len(pairs)} pairs of cells" if len(pairs) > 1 else ""


def _turned(difference: Difference) -> Difference:
    return Difference(-difference.value, -difference.high, -difference.low)
