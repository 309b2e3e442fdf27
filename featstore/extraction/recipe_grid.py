"""The recipes of a grid: every base with every preprocessing, input size and kind of views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Unpack

from featstore.bases.catalog import BASES
from featstore.errors import UsageError, param
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.images.views import parse_views
from featstore.system.fields import check_names


def make_recipes(**options: Unpack[GridOptions]) -> list[Recipe]:
    """Return a recipe for every base at every size with every kind of views and every preprocessing, in this order.

    Each of model, weights, alpha, size, views and preprocess is one value or a sequence of them; an empty sequence
    stands for the default. A size that is a tuple of two numbers is one size, (height, width), as Keras takes it.
    `weights` are one for all bases (imagenet, random or None), or one for each in their order; `alpha` is one for all
    bases that take one, or one for each of these. `augment` is for the augmented views alone.

    Raises:
        UsageError: If an option is not known, if a model is missing, if weights or multipliers do not match the bases
            in number, or for a value that a Recipe does not allow.
    """
    given: dict[str, Any] = {**options}
    check_names("option", given, GridOptions.__annotations__)
    if isinstance(given.get("size"), tuple) and [*map(type, given["size"])] == [int, int]:
        given["size"] = [given["size"]]
    bases = _pair(*(_several(given.pop(name, ())) for name in ("model", "weights", "alpha")))
    axes = [
        [{name: value} for value in _several(given.pop(name, ()))] or [{}] for name in ("size", "views", "preprocess")
    ]
    recipes = [
        Recipe(**given, **base, **size, **views, **variant) for base, size, views, variant in product(bases, *axes)
    ]
    augmented = [parse_views(recipe.views)[1] > 0 for recipe in recipes]
    if not any(augmented):
        return recipes
    return [
        recipe if drawn else replace(recipe, augment=None) for recipe, drawn in zip(recipes, augmented, strict=True)
    ]


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _pair(models: list[str], weights: list[str | None], alphas: list[float | None]) -> list[dict[str, Any]]:
    """Return the fields model, weights and alpha of each base; raises UsageError if their numbers do not match."""
    if not models:
        raise UsageError(f"{param('model')} is missing: name a base, as in {param('model', 'MobileNetV2')}")
    shared = weights in ([], [None], ["imagenet"], ["random"])
    if len(weights) != len(models) and not shared:
        raise UsageError(
            f"{len(models)} bases but {len(weights)} {param('weights')}: give one for each, in their order"
        )
    scaled = [place for place, model in enumerate(models) if model in BASES and BASES[model].takes_alpha]
    if len(alphas) > 1 and len(alphas) != len(scaled):
        raise UsageError(
            f"{len(alphas)} {param('alpha')}, but {len(scaled)} of the bases take one: give one for each of these"
        )
    # If no base takes an alpha, the first gets it: the error of the Recipe then names the bases that take one.
    alpha_of = dict(zip(scaled or [0], alphas if len(alphas) != 1 else alphas * len(models), strict=False))
    weights_of = weights if len(weights) == len(models) else [*weights, None][:1] * len(models)
    return [
        {"model": model, "weights": weights_of[place], "alpha": alpha_of.get(place)}
        for place, model in enumerate(models)
    ]
