"""The grid: the cells of a comparison, each with the command that measures it alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from featstore.datasets.options import DataOptions
from featstore.errors import UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.heads.parameters import parameter_named, parse_parameters
from featstore.heads.registry import HeadName, entry_of, is_own, parameters_of
from featstore.system.fields import Between, Seed, flag_of, settle_fields
from featstore.system.words import did_you_mean
from featstore.training.head_recipe import HeadRecipe


@dataclass(frozen=True, eq=False)  # by identity: parameters are a mapping, which has no hash
class GridCell:
    """One combination of features and a head.

    Attributes:
        recipe: Recipe of the features.
        head: Recipe of the head, with those settings of the grid that it has as parameters.
    """

    recipe: Recipe
    head: HeadRecipe


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How each cell is measured.

    Attributes:
        seed: Seed of the heads, and of random weights.
        seeds: With how many seeds each head is trained; with folds, each of them divides the images in another way.
        folds: Number of folds of a cross-validation over all images but a given test split. Default: the splits.
        val_fraction: Share taken for validation where there is no such split.
        test_fraction: Share taken for testing where there are no splits.
        val_as_test: Measure on the validation split, where there is no test split; training images take its place.
    """

    seed: Seed = 0
    seeds: Annotated[int, Between(1)] = 1
    folds: Annotated[int, Between(2)] | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.2
    val_as_test: bool = False

    def __post_init__(self) -> None:
        settle_fields(self)
        if self.val_as_test and self.folds is not None:
            raise UsageError(
                f"{param('val_as_test', True)}: not with {param('folds', self.folds)}, where each image is measured"
            )


def make_grid(
    recipes: Sequence[Recipe], heads: Sequence[HeadName], settings: Mapping[str, Any], head: HeadRecipe
) -> list[GridCell]:
    """Return the cells of `recipes` x `heads`; all heads share the other fields of `head`.

    A head with a base of its own (scratch-cnn) does not depend on the bases of `recipes`. It gets one cell for each
    preprocessing of the images, where `keras` stands for the variants of those bases. What is said of several views is
    left out where there is one. Raises UsageError for heads or settings that do not exist.
    """
    given = settings_by_head(heads, settings)
    if all(entry_of(name).base for name in heads):
        _refuse_base_options(recipes, heads)
    cells: list[GridCell] = []
    for name in heads:
        inputs = (
            [entry_of(name).with_preferred_pool(recipe) for recipe in recipes]
            if entry_of(name).base is None
            else dict.fromkeys(recipe.on_pixels() for recipe in recipes)
        )
        own = replace(head, head=name, parameters=given[name])
        cells += (GridCell(recipe, own if recipe.has_several_views else own.for_one_view()) for recipe in inputs)
    return cells


def _refuse_base_options(recipes: Sequence[Recipe], heads: Sequence[HeadName]) -> None:
    """Raise UsageError for an option of a base whose features no head of the comparison sees."""
    for field in fields(Recipe):
        values = [getattr(recipe, field.name) for recipe in recipes]
        if field.name in ("weights", "alpha", "layer", "pool") and any(value != field.default for value in values):
            value = next(value for value in values if value != field.default)
            raise UsageError(
                f"{param(field.name, value)}: has no effect, since {', '.join(heads)} is trained on "
                f"{entry_of(heads[0]).base}; leave it out"
            )


def settings_by_head(heads: Sequence[HeadName], settings: Mapping[str, Any]) -> dict[HeadName, dict[str, Any]]:
    """Return the settings that each head takes; raise UsageError for an unknown head or a setting that none takes."""
    known = {name: [field.name for field in fields(parameters_of(name))] for name in heads}
    for word in settings:
        if not any(parameter_named(word, names) for names in known.values()):
            lists = "; ".join(f"{name} takes {', '.join(names)}" for name, names in known.items())
            near = did_you_mean(word, dict.fromkeys(name for names in known.values() for name in names))
            told = f"no head of this comparison has such a parameter: {near} {lists}".replace("  ", " ")
            raise UsageError(f"{param('parameters', word)}: {told}")
    given: dict[HeadName, dict[str, Any]] = {}
    for name, names in known.items():
        own = {word: value for word, value in settings.items() if parameter_named(word, names)}
        given[name] = parse_parameters(parameters_of(name), name, own)
    return given


def command_line(
    data: str, cell: GridCell, measurement: Measurement, cache: str | None, reading: DataOptions | None = None
) -> str:
    """Return the command that measures `cell` alone: train-head, or compare for several seeds or folds.

    An estimator of the user's own may be none that a run can keep, which train-head would refuse.
    """
    several = measurement.seeds > 1 or measurement.folds is not None or is_own(cell.head.head)
    data = os.path.join(os.curdir, data) if data.startswith("-") else data  # which would read as an option
    words = ["featstore", "compare" if several else "train-head", data]
    for name, value in reading.given() if reading else ():
        words += [flag_of(name), *([] if value is True else [str(value)])]
    words += _recipe_words(cell.recipe)
    words += ["--head", cell.head.head]
    for key, value in cell.head.parameters.items():
        words += ["--set", f"{key}={'none' if value is None else value}"]
    for flag, value in (("--train-on", cell.head.train_on), ("--average", cell.head.average)):
        words += [flag, value] if value else []
    words += [] if cell.head.calibrate else [flag_of("no_calibrate")]
    for field in fields(measurement):
        if (value := getattr(measurement, field.name)) != field.default:
            words += [flag_of(field.name), *([] if value is True else [str(value)])]
    words += ["--cache", cache] if cache else []
    return shlex.join(words)


def _recipe_words(recipe: Recipe) -> Iterator[str]:
    """Yield the options that differ from their defaults, and always --preprocess."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if field.name == "weights_seed" or (value == field.default and field.name != "preprocess"):
            continue
        yield flag_of(field.name)
        yield str(value)
