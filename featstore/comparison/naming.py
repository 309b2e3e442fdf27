"""Names of the cells of a grid: different cells have different names, with no more words than that takes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from featstore.bases.source import BaseSource
from featstore.comparison.grid import GridCell
from featstore.extraction.plan import Plan

Factors = Mapping[str, str]  # level by factor, as {"model": "VGG16", "preprocess": "keras"}


def name_cells(cells: Iterable[GridCell], plans: Iterable[Plan]) -> dict[GridCell, Factors]:
    """Return the level of each factor for each cell, as a table names it.

    A cell that is named twice, by two paths of one file or as the sizes 224 and 224x224, is returned once.
    """
    plan_of = {plan.recipe: plan for plan in plans}
    base_of = {recipe: recipe.at_absolute_paths().source() for recipe in plan_of}
    base_names = name_bases(list(dict.fromkeys(base_of.values())))
    named: dict[tuple[str, ...], GridCell] = {}
    factors: dict[GridCell, Factors] = {}
    for cell in cells:
        plan = plan_of[cell.recipe]
        levels = _levels(cell, base_names[base_of[cell.recipe]], plan)
        first = named.setdefault(tuple(levels.values()), cell)
        if plan_of[first.recipe].parts != plan.parts:  # they differ in an option for which there is no factor
            levels["model"] += f" {plan.spec.key[:12]}"
            first = named.setdefault(tuple(levels.values()), cell)
        if first is cell:
            factors[cell] = levels
    return factors


def row_name(factors: Factors, others: Collection[Factors]) -> str:
    """Return the levels of those factors that vary among the rows."""
    varied = [name for name in factors if len({other[name] for other in others}) > 1]
    return ", ".join(factors[name] for name in varied or factors)


def name_bases(bases: Sequence[BaseSource]) -> dict[BaseSource, str]:
    """Return a name for each of `bases`: the model, and its weights and seed where another base has the same name."""
    models = shortest_tails([base.model for base in bases])
    by_name: dict[str, list[BaseSource]] = {}
    for base in bases:
        alpha = "" if base.alpha in (None, 1.0) else f" {base.alpha:g}"
        by_name.setdefault(models[base.model] + alpha, []).append(base)
    return {base: name + more for name, alike in by_name.items() for base, more in _what_differs(alike).items()}


def _what_differs(alike: Sequence[BaseSource]) -> dict[BaseSource, str]:
    """Return the weights and the seed of each base, in brackets, where they differ."""
    weights = shortest_tails([base.weights for base in alike])
    seeds = {base.seed for base in alike if base.weights == "random"}
    words = {
        base: [
            *([weights[base.weights]] if len(weights) > 1 else []),
            *([f"seed {base.seed}"] if len(seeds) > 1 and base.weights == "random" else []),
        ]
        for base in alike
    }
    return {base: f" ({', '.join(some)})" if some else "" for base, some in words.items()}


def shortest_tails(paths: Iterable[str]) -> dict[str, str]:
    """Return for each path its shortest end, in whole names, that no other of them ends with."""
    parts = {path: Path(path).parts for path in paths}
    return {path: _shortest_tail(mine, [p for p in parts.values() if p != mine]) for path, mine in parts.items()}


def _shortest_tail(mine: Sequence[str], others: Sequence[Sequence[str]]) -> str:
    tails = (mine[-length:] for length in range(1, len(mine) + 1))
    return os.path.join(*next((t for t in tails if all(other[-len(t) :] != t for other in others)), mine))


def _levels(cell: GridCell, model: str, plan: Plan) -> dict[str, str]:
    reading = plan.spec.reading
    return {
        "model": model,
        "preprocess": cell.recipe.preprocess,
        "size": str(reading.height) if reading.height == reading.width else f"{reading.height}x{reading.width}",
        "views": cell.recipe.views,
        "head": cell.head.head,
    }
