"""Findings: which cells of a grid are better on the same images, from paired differences, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.comparison.naming import MAIN, named_level
from featstore.evaluation.paired import Difference
from featstore.evaluation.ranking import CellResult, RankedCell
from featstore.evaluation.repeats import Repeats, mean_of
from featstore.evaluation.units import Units
from featstore.system.figures import figure, with_interval

Context = tuple[tuple[str, str], ...]  # (factor, level) of a cell, for all factors but one
Pairs = Mapping[Context, tuple[Repeats, Repeats]]  # two levels of that one factor
Compare = Callable[[Repeats, Repeats], Difference]

FINDINGS_ORDER = ("preprocess", "model", "size", "views", "head")
REASONS_ORDER = ("head", "model", "size", "views", "preprocess")  # head first: scratch-cnn changes the model too


class Bar(NamedTuple):
    """What a cell must beat: always answering the class `name`, which is right, 1 or 0, for the images of `right`."""

    name: str
    right: NDArray[np.float64]


def describe_findings(
    cells: Sequence[CellResult], ranked: Sequence[RankedCell], units: Units, error: float, bar: Bar | None = None
) -> list[str]:
    """Return sentences on the best cell, and on each factor with all others held equal.

    `ranked` comes from `rank`. With the `error` of `joint_error`, 95 of 100 data sets get no wrong sentence at all.
    Where no cell beats the `bar`, that is said, and no cell or level is said to beat another.
    """
    known = dict.fromkeys(name for cell in cells for name in cell.factors)
    varied = [name for name in known if len({cell.factors[name] for cell in cells}) > 1]
    sentences = [_describe_best(cells, ranked, varied, units)]
    if bar and not _beats(cells, ranked, units, error, bar):
        share = figure(float(bar.right.mean()))
        return [f"no cell is significantly better than always answering `{bar.name}`, {share}", *sentences]
    compare = partial(Repeats.minus, units=units, error=error)
    for name in _ordered(varied, FINDINGS_ORDER):
        sentences += _compare_levels(cells, name, compare)
    return sentences


def _beats(cells: Sequence[CellResult], ranked: Sequence[RankedCell], units: Units, error: float, bar: Bar) -> bool:
    """Return whether the best cell is better than the bar, by either of the comparisons of `Metrics`."""
    best, found = ranked[0], cells[ranked[0].position].measured
    always = Repeats(np.broadcast_to(bar.right, found.right.shape), found.fold)
    return best.accuracy_ci95[0] > bar.right.mean() or found.minus(always, units, error).low > 0


def _ordered(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Return `names` in the given `order`, then those that are not in it."""
    rest = list(names)
    return [name for name in order if name in rest] + [name for name in rest if name not in order]


def _describe_best(
    cells: Sequence[CellResult], ranked: Sequence[RankedCell], varied: Sequence[str], units: Units
) -> str:
    first = ranked[0]
    levels = cells[first.position].factors
    name = ", ".join(named_level(factor, levels[factor]) for factor in _ordered(varied, MAIN))
    text = f"best: {name}: " if name else "accuracy "
    text += f"{with_interval(first.accuracy, first.accuracy_ci95)} on {units}"
    others = len(cells) - 1
    close = sum(not other.difference_to_best.is_significant for other in ranked[1:])
    if others == 0:
        return text
    if others == 1:
        return f"{text}; the other cell is {'not significantly different' if close else 'significantly worse'}"
    if close == 0:
        return f"{text}; all {others} other cells are significantly worse"
    return f"{text}; {close} of {others} other cells {'is' if close == 1 else 'are'} not significantly different"


def _compare_levels(cells: Sequence[CellResult], factor: str, compare: Compare) -> list[str]:
    """Return a sentence for each level of `factor`, compared with the level that has the best mean lead."""
    by_context: dict[Context, dict[str, Repeats]] = {}
    for cell in cells:
        context = tuple((name, cell.factors[name]) for name in _ordered(cell.factors, MAIN) if name != factor)
        by_context.setdefault(context, {})[cell.factors[factor]] = cell.measured
    levels = list(dict.fromkeys(cell.factors[factor] for cell in cells))
    best = max(levels, key=lambda level: (_mean_lead(level, by_context), -levels.index(level)))
    sentences = []
    for level in levels:
        pairs = {context: (r[best], r[level]) for context, r in by_context.items() if best in r and level in r}
        if level != best and pairs:
            sentences.append(_factor_prefix(factor) + _compare_pair(best, level, pairs, compare))
    return sentences


def _factor_prefix(factor: str) -> str:
    """Return the name of the factor where its levels need it: `ten` alone could be anything."""
    return "" if factor in ("preprocess", "model", "head") else f"{factor} "


def _mean_lead(level: str, by_context: Mapping[Context, dict[str, Repeats]]) -> float:
    """Return the accuracy of `level` less the mean of the other levels, averaged over the contexts that they share."""
    leads = []
    for levels in by_context.values():
        rivals = [float(found.right.mean()) for other, found in levels.items() if other != level]
        if level in levels and rivals:
            leads.append(float(levels[level].right.mean()) - sum(rivals) / len(rivals))
    return round(sum(leads) / len(leads), 12) if leads else -math.inf  # rounded as in `rank`


def _compare_pair(one: str, other: str, pairs: Pairs, compare: Compare) -> str:
    """Return one sentence on the levels `one` and `other`: which is better, or on what that depends."""
    singly = {context: compare(a, b) for context, (a, b) in pairs.items()}
    if any(d.low > 0 for d in singly.values()) and any(d.high < 0 for d in singly.values()):
        return f"`{one}` against `{other}` depends on {_deciding_factor(pairs, singly, compare)}"
    mean, suffix = _pooled(pairs, compare), _pair_count(pairs)
    if mean.low > 0:
        return f"`{one}` beats `{other}` by {mean.in_points()}{suffix}"
    if mean.high < 0:
        return f"`{other}` beats `{one}` by {_negated(mean).in_points()}{suffix}"
    n = next(iter(pairs.values()))[0].right.shape[1]
    return f"`{one}` and `{other}` are not significantly different on {n} images ({mean.in_points()}{suffix})"


def _deciding_factor(pairs: Pairs, singly: Mapping[Context, Difference], compare: Compare) -> str:
    """Return the factor whose levels separate the pairs that disagree, with the mean of each side.

    Where no single factor does, return the two extreme pairs.
    """
    better = [dict(context) for context, d in singly.items() if d.low > 0]
    worse = [dict(context) for context, d in singly.items() if d.high < 0]
    for factor in _ordered(better[0], REASONS_ORDER):
        by_level: dict[str, dict[Context, tuple[Repeats, Repeats]]] = {}
        for context, pair in pairs.items():
            by_level.setdefault(dict(context)[factor], {})[context] = pair
        means = {level: _pooled(some, compare) for level, some in by_level.items()}
        pros = [level for level, mean in means.items() if mean.low > 0]
        cons = [level for level, mean in means.items() if mean.high < 0]
        if {c[factor] for c in better}.issubset(pros) and {c[factor] for c in worse}.issubset(cons):
            sides = [_describe_side(level, by_level[level], compare) for level in pros + cons]
            unclear = [level for level in means if level not in pros + cons]
            rest = f", no clear difference with {' and '.join(unclear)}" if unclear else ""
            return f"the {factor}: {', '.join(sides)}{rest}"
    least, most = sorted(pairs, key=lambda context: singly[context].value)[:: len(pairs) - 1]
    varied = [place for place in range(len(most)) if len({context[place] for context in pairs}) > 1]
    shown = [_describe_side(", ".join(c[place][1] for place in varied), {c: pairs[c]}, compare) for c in (most, least)]
    return f"the rest: {shown[0]}, {shown[1]}"


def _describe_side(where: str, pairs: Pairs, compare: Compare) -> str:
    mean = _pooled(pairs, compare)
    if mean.value < 0:
        return f"worse with {where} by {_negated(mean).in_points()}{_pair_count(pairs)}"
    return f"better with {where} by {mean.in_points()}{_pair_count(pairs)}"


def _pooled(pairs: Pairs, compare: Compare) -> Difference:
    """Return the difference of the mean over the pairs.

    The mean is taken for each image first: the pairs share their images and are not independent.
    """
    return compare(mean_of([a for a, _ in pairs.values()]), mean_of([b for _, b in pairs.values()]))


def _pair_count(pairs: Pairs) -> str:
    return f" over {len(pairs)} pairs of cells" if len(pairs) > 1 else ""


def _negated(difference: Difference) -> Difference:
    return Difference(-difference.value, -difference.high, -difference.low)
