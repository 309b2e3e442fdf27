"""The grid: which cells a comparison has, each with the command that measures it alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from featstore.errors import UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HEADS, make_head
from featstore.training.fit import HeadRecipe


@dataclass(frozen=True, eq=False)  # by identity: parameters are a mapping, which has no hash
class GridCell:
    """Features and a head; `parameters` are those of the grid's settings that this head takes."""

    recipe: Recipe
    head: HeadRecipe

    @property
    def model(self) -> str:
        """The base as a table names it."""
        name = os.path.basename(self.recipe.model)
        return name if self.recipe.alpha in (None, 1.0) else f"{name} {self.recipe.alpha:g}"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How each cell is measured: repetitions, folds of a cross-validation (None for the splits), and fractions."""

    seed: int = 0
    seeds: int = 1
    folds: int | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.2

    def check(self) -> None:
        if self.seeds < 1 or (self.folds is not None and self.folds < 2):
            raise UsageError(f"expected {param('seeds')} of at least 1 and {param('folds')} of at least 2")


def grid(
    recipes: Sequence[Recipe], heads: Sequence[str], settings: Mapping[str, Any], head: HeadRecipe
) -> list[GridCell]:
    """The cells of `recipes` x `heads`; `head` has what they share.

    A head with a base of its own (scratch-cnn) does not depend on the base: it gets one cell for each preparation of
    the images, with `keras` as what the bases at hand were trained with. Raises UsageError for heads or settings that
    do not exist.
    """
    given = _settings_of(heads, settings)
    cells: list[GridCell] = []
    for name in heads:
        own = HEADS[name].base
        seen = (
            [HEADS[name].prefer(recipe) for recipe in recipes]
            if own is None
            else dict.fromkeys(recipe.on_pixels() for recipe in recipes)
        )
        cells += (GridCell(recipe, replace(head, head=name, parameters=given[name])) for recipe in seen)
    return cells


def _settings_of(heads: Sequence[str], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings that each head takes; raises UsageError for a head, or a setting that none of them has."""
    names = {name: {field.name for field in fields(type(make_head(name))) if field.init} for name in heads}
    for key in settings:
        if not any(key in known for known in names.values()):
            raise UsageError(f"{param('parameters', key)}: none of the heads {', '.join(heads)} has such a parameter")
    given = {name: {k: v for k, v in settings.items() if k in known} for name, known in names.items()}
    for name, parameters in given.items():
        make_head(name, parameters)  # a value that cannot be shows itself before anything is extracted
    return given


def command_line(data: str, cell: GridCell, protocol: Protocol, cache: str | None) -> str:
    """The command that measures `cell` alone: train-head, or compare where there are several seeds or folds."""
    several = protocol.seeds > 1 or protocol.folds is not None
    words = ["featstore", "compare" if several else "train-head", data]
    words += _recipe_words(cell.recipe)
    words += ["--head", cell.head.head]
    for key, value in cell.head.parameters.items():
        words += ["--set", f"{key}={value}"]
    for flag, value in (("--train-on", cell.head.train_on), ("--average", cell.head.average)):
        words += [flag, value] if value else []
    for field in fields(protocol):
        if (value := getattr(protocol, field.name)) != field.default:
            words += [f"--{field.name.replace('_', '-')}", str(value)]
    words += ["--cache", cache] if cache else []
    return shlex.join(words)


def _recipe_words(recipe: Recipe) -> Iterator[str]:
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if field.name == "weights_seed" or (value == field.default and field.name != "preprocess"):
            continue
        yield f"--{field.name}"
        yield f"{value:g}" if isinstance(value, float) else str(value)
