"""The recipes of a run's features, for prediction and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from featstore.errors import RunError, UsageError, param
from featstore.extraction.cache import Cache
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import canonical_spec
from featstore.images.views import parse_views
from featstore.runs.run import Run
from featstore.spec import FeatureSpec
from featstore.system.paths import OneOrMorePaths, one_or_more


def recipes_of(run: Run, weights: OneOrMorePaths | None, cache: Cache) -> list[Recipe]:
    """Return the recipes of the features that `run` predicts from, without augmentation, which is for training only.

    weights: new paths of moved weights, one for each base. Raises RunError if the features would be others than those
    that the run was trained on.
    """
    named = [] if weights is None else one_or_more(weights, "weights")
    if named and len(named) != len(run.recipes):
        raise UsageError(
            f"{run.folder}: has {len(run.recipes)} bases; give {param('weights')} once for each, in their order"
        )
    recipes = [replace(r, views="one", augment=None) if parse_views(r.views)[1] else r for r in run.recipes]
    if named:
        recipes = [recipe.with_weights(file) for recipe, file in zip(recipes, named, strict=True)]
    resolved = [(recipe, part.spec) for recipe in recipes for part in make_plan(recipe, cache.digests).parts]
    specs = [spec for _, spec in resolved]
    # An earlier release may have made the run, and written the same features in another way.
    trained = [canonical_spec(spec, recipe.source()) for spec, (recipe, _) in zip(run.specs, resolved, strict=False)]
    if (trained, len(run.specs)) != (specs, len(specs)):
        different = ", ".join(dict.fromkeys(_differences(trained, specs))) or "their number"
        raise RunError(
            f"{run.folder}: was trained on other features ({different} differs); "
            f"name the weights that it was trained with by {param('weights')}"
        )
    return recipes


def _differences(expected: Sequence[FeatureSpec], found: Sequence[FeatureSpec]) -> Iterator[str]:
    """Yield the names of the fields that differ."""
    for one, other in zip(expected, found, strict=False):
        yield from (name for name, value in one.describe().items() if other.describe()[name] != value)
