"""The grid: which cells a comparison has, each with the command that measures it alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from featstore.errors import UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HEADS, HeadName, make_head
from featstore.system.fields import Between, Seed, check_fields
from featstore.training.head_recipe import HeadRecipe


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
class Measurement:
    """How each cell is measured.

    Attributes:
        seed: Seed of the heads, and of random weights.
        seeds: With how many seeds each head is trained.
        folds: Cross-validate over all images but a given test split. Default: the splits.
        val_fraction: Share taken for validation where there is no such split.
        test_fraction: Share taken for testing where there are no splits.
    """

    seed: Seed = 0
    seeds: Annotated[int, Between(1)] = 1
    folds: Annotated[int, Between(2)] | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        check_fields(self)


def make_grid(
    recipes: Sequence[Recipe], heads: Sequence[HeadName], settings: Mapping[str, Any], head: HeadRecipe
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


def _settings_of(heads: Sequence[HeadName], settings: Mapping[str, Any]) -> dict[HeadName, dict[str, Any]]:
    """The settings that each head takes; raises UsageError for a head, or a setting that none of them has."""
    names = {name: {field.name for field in fields(type(make_head(name))) if field.init} for name in heads}
    for key in settings:
        if not any(key in known for known in names.values()):
            raise UsageError(f"{param('parameters', key)}: none of the heads {', '.join(heads)} has such a parameter")
    given = {name: {k: v for k, v in settings.items() if k in known} for name, known in names.items()}
    for name, parameters in given.items():
        make_head(name, parameters)  # a value that cannot be shows itself before anything is extracted
    return given


def command_line(data: str, cell: GridCell, measurement: Measurement, cache: str | None) -> str:
    """The command that measures `cell` alone: train-head, or compare where there are several seeds or folds."""
    several = measurement.seeds > 1 or measurement.folds is not None
    words = ["featstore", "compare" if several else "train-head", data]
    words += _recipe_words(cell.recipe)
    words += ["--head", cell.head.head]
    for key, value in cell.head.parameters.items():
        words += ["--set", f"{key}={value}"]
    for flag, value in (("--train-on", cell.head.train_on), ("--average", cell.head.average)):
        words += [flag, value] if value else []
    for field in fields(measurement):
        if (value := getattr(measurement, field.name)) != field.default:
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
