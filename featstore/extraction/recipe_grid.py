"""The recipes of a grid: every base with every combination of the other options."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import product
from typing import Any, Unpack

from featstore.bases.catalog import BASES, PIXELS, TINY, settle_model
from featstore.errors import UsageError, param
from featstore.extraction.recipe import AXES, GridOptions, Recipe, settle_weights
from featstore.images.views import parse_views
from featstore.system.fields import check_names
from featstore.system.text import count

_PAIRS = ("size", "resize")  # whose values may be (height, width)


def make_recipes(seed: int = 0, **options: Unpack[GridOptions]) -> list[Recipe]:
    """Return a recipe for every base with every combination of the other options, in the order of `AXES`.

    Each of model, weights, alpha and the `AXES` is one value or a list of them; an empty list stands for the default.
    `weights` are one for all bases (imagenet, random or default), or one for each in their order; `alpha` is one for
    all bases that take one, or one for each of these. `augment` is for the augmented views alone. `seed` is that of
    random weights, if `weights_seed` is not given.

    Raises:
        UsageError: If an option is not known or has no effect, if a model is missing, if weights or multipliers do not
            match the bases in number, or for a value that a Recipe does not allow.
    """
    given: dict[str, Any] = {**options}
    check_names("option", given, GridOptions.__annotations__)
    if isinstance(given.get("size"), tuple) and [*map(type, given["size"])] == [int, int]:
        given["size"] = [given["size"]]
    bases = _pair(*(_several(given.pop(name, ())) for name in ("model", "weights", "alpha")))
    axes = [[{name: value} for value in _several(given.pop(name, ()), name in _PAIRS)] or [{}] for name in AXES]
    weights_seed = given.pop("weights_seed", None)
    given |= {"weights_seed": seed if weights_seed is None else weights_seed}
    recipes = [Recipe(**given, **base, **reduce(operator.or_, rest, {})) for base, *rest in product(bases, *axes)]
    refuse_idle_seed(recipes, weights_seed or 0)
    augmented = [parse_views(recipe.views)[1] > 0 for recipe in recipes]
    if not any(augmented):
        return recipes
    return [
        recipe if drawn else replace(recipe, augment=None) for recipe, drawn in zip(recipes, augmented, strict=True)
    ]


def refuse_idle_seed(recipes: Sequence[Recipe], weights_seed: int) -> None:
    """Raise UsageError for a seed of random weights where no weights are random."""
    if weights_seed and all(recipe.weights != "random" for recipe in recipes):
        raise UsageError(
            f"{param('weights_seed', weights_seed)}: has no effect, since no weights are random; leave it out, or give "
            f"{param('weights', 'random')}"
        )


def _several(value: Any, is_pair: bool = False) -> list[Any]:
    """Return the values of an option: those of a list or tuple, or the only one.

    is_pair: whether a tuple of two numbers is one value, height and width.
    """
    if is_pair and isinstance(value, tuple) and len(value) == 2 and all(isinstance(side, int) for side in value):
        return [value]
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _pair(models: list[str], weights: list[str | None], alphas: list[float | None]) -> list[dict[str, Any]]:
    """Return the fields model, weights and alpha of each base; raises UsageError if their numbers do not match."""
    if not models:
        raise UsageError(f"{param('model')} is missing: name a base, as in {param('model', 'MobileNetV2')}")
    models = [settle_model(model) for model in models]
    weights = [settle_weights(some) for some in weights]
    shared = weights in ([], [None], ["imagenet"], ["random"])
    if len(weights) != len(models) and not shared:
        raise UsageError(
            f"{count(len(models), 'base')} but {len(weights)} {param('weights')}: give one for each, in their order; "
            f"{param('weights', 'default')} is what a base was published with"
        )
    scaled = [place for place, model in enumerate(models) if model in BASES and BASES[model].takes_alpha]
    if len(alphas) > 1 and len(alphas) != len(scaled):
        raise UsageError(
            f"{len(alphas)} {param('alpha')}, but {len(scaled)} of the bases take one: give one for each of these"
        )
    # If no base takes an alpha, the first gets it: the error of the Recipe then names the bases that take one.
    alpha_of = dict(zip(scaled or [0], alphas if len(alphas) != 1 else alphas * len(models), strict=False))
    weights_of = weights if len(weights) == len(models) else [_shared_by(model, weights) for model in models]
    return [
        {"model": model, "weights": weights_of[place], "alpha": alpha_of.get(place)}
        for place, model in enumerate(models)
    ]


def _shared_by(model: str, weights: list[str | None]) -> str | None:
    """Return the weights of `model` where one word stands for all bases. What is built in may not have such weights."""
    without = {TINY.name: ["imagenet"], PIXELS.name: ["imagenet", "random"]}.get(model, [])
    return next((some for some in weights if some not in without), None)
