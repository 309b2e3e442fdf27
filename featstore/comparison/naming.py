"""Names of the cells of a grid: different cells have different names, with no more words than that takes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from featstore.bases.source import BaseSource
from featstore.comparison.grid import GridCell, Measurement
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import entry_of

Factors = Mapping[str, str]  # level by factor, as {"model": "VGG16", "preprocess": "keras"}
MAIN = ("model", "preprocess", "size", "views", "head")  # the factors that every table has


class NamedCells(NamedTuple):
    """The cells of a grid by name.

    factors: the levels of each cell, of `MAIN` and of what else differs between cells.
    options: the level of every other option of the features for each cell, as in {"pool": "max", "fit": "crop"}.
    shared: options that all cells have and that are not their default, as in ("pool max", "fit crop").
    """

    factors: dict[GridCell, Factors]
    options: dict[GridCell, Factors]
    shared: tuple[str, ...]


def name_cells(cells: Iterable[GridCell], plans: Iterable[Plan]) -> NamedCells:
    """Return the level of each factor for each cell, as a table names it.

    A cell that is named twice, by two paths of one file or as the sizes 224 and 224x224, is returned once. An option
    that is the default of every cell is not a factor, though defaults may differ, as those of the pooling by head.
    """
    plan_of = {plan.recipe: plan for plan in plans}
    base_of = {recipe: recipe.at_absolute_paths().source() for recipe in plan_of}
    base_names = name_bases(list(dict.fromkeys(base_of.values())))
    named: dict[tuple[str, ...], GridCell] = {}
    factors: dict[GridCell, dict[str, str]] = {}
    options: dict[GridCell, Factors] = {}
    for cell in cells:
        plan = plan_of[cell.recipe]
        levels, rest = _main_levels(cell, base_names[base_of[cell.recipe]], plan), _other_levels(plan)
        first = named.setdefault((*levels.values(), *rest.values()), cell)
        first_plan = plan_of[first.recipe]
        if (first_plan.parts, first_plan.augmented) != (
            plan.parts,
            plan.augmented,
        ):  # they differ in an option for which there is no factor
            levels["model"] += f" {(plan.augmented or plan).spec.key[:12]}"
            first = named.setdefault((*levels.values(), *rest.values()), cell)
        if first is cell:
            factors[cell], options[cell] = levels, rest
    changed = [
        name
        for name in next(iter(options.values()), {})
        if any(level[name] != _default_levels(cell, plan_of[cell.recipe])[name] for cell, level in options.items())
    ]
    shared = []
    for name in changed:
        if len({level[name] for level in options.values()}) > 1:
            for cell, levels in factors.items():
                levels[name] = options[cell][name]
        else:
            shared.append(f"{name} {next(iter(options.values()))[name]}")
    return NamedCells({**factors}, options, tuple(shared))


def named_level(factor: str, level: str) -> str:
    """Return a level as a name has it: `max` alone could be anything, `pool max` is clear."""
    return level if factor in MAIN else f"{factor} {level}"


def row_name(factors: Factors, others: Collection[Factors]) -> str:
    """Return the levels of those factors that vary among the rows."""
    varied = [name for name in factors if len({other[name] for other in others}) > 1]
    return ", ".join(named_level(name, factors[name]) for name in varied or factors)


def shared_settings(cells: Sequence[GridCell], measurement: Measurement) -> list[str]:
    """Return what is not the default in how the cells are trained and measured, which is the same for all of them."""
    augment = [f"augment {cell.recipe.augment}" for cell in cells if cell.recipe.augment is not None]
    views = [cell.head for cell in cells if cell.recipe.has_several_views]
    words = [f"train-on {head.train_on}" for head in views if head.train_on]
    words += [f"average {head.average}" for head in views if head.average]
    words += [
        f"{cell.head.head} {' '.join(f'{key}={value}' for key, value in cell.head.parameters.items())}"
        for cell in cells
        if cell.head.parameters
    ]
    settings = [
        f"{field.name.replace('_', '-')} {value}"
        for field in fields(measurement)
        if (value := getattr(measurement, field.name)) != field.default and field.name not in ("folds", "val_as_test")
    ]
    return [*dict.fromkeys([*augment, *words]), *settings]


def name_bases(bases: Sequence[BaseSource]) -> dict[BaseSource, str]:
    """Return a name for each of `bases`: the model, and its weights and seed where another base has the same name."""
    models = shortest_tails([base.model for base in bases])
    by_name: dict[str, list[BaseSource]] = {}
    for base in bases:
        alpha = "" if base.alpha in (None, 1.0) else f" {base.alpha:g}"
        by_name.setdefault(models[base.model] + alpha, []).append(base)
    return {base: name + more for name, alike in by_name.items() for base, more in _what_differs(alike).items()}


def _what_differs(alike: Sequence[BaseSource]) -> dict[BaseSource, str]:
    """Return in brackets the weights of each base where they differ or are random, and the seed of random ones."""
    weights = shortest_tails([base.weights for base in alike])
    seeds = {base.seed for base in alike if base.weights == "random"}
    words = {
        base: [
            *([weights[base.weights]] if len(weights) > 1 or base.weights == "random" else []),
            *([f"seed {base.seed}"] if base.weights == "random" and seeds != {0} else []),
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


def _main_levels(cell: GridCell, model: str, plan: Plan) -> dict[str, str]:
    reading = plan.spec.reading
    return {
        "model": model,
        "preprocess": cell.recipe.preprocess,
        "size": _side_text((reading.height, reading.width)),
        "views": cell.recipe.views,
        "head": cell.head.head,
    }


def _other_levels(plan: Plan) -> dict[str, str]:
    """Return the level of every option of the features that is not in `MAIN`, by its name as an option."""
    spec, recipe = plan.spec, plan.recipe
    return {
        "resize": _side_text(spec.reading.resize),
        "scales": recipe.scales or "none",
        "fit": spec.reading.fit,
        "interpolation": spec.reading.interpolation,
        "reading": spec.reading.name,
        "bits": str(spec.reading.bits),
        "layer": spec.layer,
        "pool": spec.pool,
        "dtype": spec.dtype,
        "precision": spec.precision,
    }


def _default_levels(cell: GridCell, plan: Plan) -> dict[str, str]:
    """Return what `_other_levels` would be without these options, for the same base, size, views and head."""
    given, reading = cell.recipe, plan.spec.reading
    plain = Recipe(model=given.model)
    return {
        "resize": _side_text(reading.resize) if given.resize is None else "none",
        "scales": "none",
        "fit": "crop" if reading.resize else "squash",
        "interpolation": plain.interpolation,
        "reading": plain.reading,
        "bits": str(plain.bits),
        "layer": plain.layer,
        "pool": entry_of(cell.head.head).pool or ("none" if given.source().is_pixels else "avg"),
        "dtype": plain.dtype,
        "precision": plain.precision,
    }


def _side_text(sides: tuple[int, int] | None) -> str:
    if sides is None:
        return "none"
    return str(sides[0]) if sides[0] == sides[1] else f"{sides[0]}x{sides[1]}"
