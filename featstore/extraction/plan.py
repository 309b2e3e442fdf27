"""A plan: which rows of which stores a recipe asks for, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.errors import UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.images.reading import parse_size
from featstore.images.views import VIEWS, WHOLE, parse_augmentation, parse_views
from featstore.spec import FeatureSpec


class PlannedRows(NamedTuple):
    """The rows that each image has in one store: the spec of the store and the numbers of the views."""

    spec: FeatureSpec
    views: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The rows of one recipe.

    parts: rows of every image, one part for each size. augmented: rows of training images only. plain: position of the
    plain view (the whole image or the centre crop) among the views of all parts.
    """

    recipe: Recipe
    parts: tuple[PlannedRows, ...]
    plain: int
    augmented: PlannedRows | None = None

    @property
    def spec(self) -> FeatureSpec:
        """The spec of the plain view."""
        return self.parts[0].spec

    @property
    def views(self) -> int:
        """The number of rows of an image."""
        return sum(len(part.views) for part in self.parts)


def make_plan(recipe: Recipe, memory: DigestMemory, weights: str | None = None) -> Plan:
    """Return the plan of `recipe`; raises UsageError for views that cannot be combined.

    weights: digest of the weights, where it is known (see `resolve_recipe`).
    """
    _, versions = parse_views(recipe.views)
    sizes = [recipe.size, *scales_of(recipe)]
    specs = [resolve_recipe(replace(recipe, size=size, scales=None), memory, weights) for size in sizes]
    plan = plan_of_specs(recipe, specs)
    parts = plan.parts
    if len({part.spec.key for part in parts}) < len(parts):
        raise UsageError(
            f"{param('scales', recipe.scales)}: each size may be named once, and not that of {param('size')} again"
        )
    if len(parts) > 1 and specs[0].pool == "none":
        raise UsageError(f"{param('scales')} needs rows of one width: use {param('pool', 'avg')} or max")
    if recipe.augment is not None and not versions:
        raise UsageError(
            f"{param('augment', recipe.augment)}: is for augmented views, as in {param('views', 'augment:4')}"
        )
    if versions:
        ranges = parse_augmentation(recipe.augment or "")
        reading = replace(specs[0].reading, resize=None, fit=recipe.fit or "squash", augmentation=ranges)
        augmented = PlannedRows(replace(specs[0], reading=reading), tuple(range(1, versions + 1)))
        plan = replace(plan, augmented=augmented)
    return plan


def plan_of_specs(recipe: Recipe, specs: Sequence[FeatureSpec]) -> Plan:
    """Return the plan of the plain views of `recipe`, which was resolved to `specs`, one for each size."""
    crops, _ = parse_views(recipe.views)
    parts = tuple(PlannedRows(spec, VIEWS[crops] if spec.reading.resize else (WHOLE,)) for spec in specs)
    return Plan(recipe, parts, parts[0].views.index(specs[0].reading.plain))


def scales_of(recipe: Recipe) -> list[str]:
    """Return the further sizes; raises UsageError if one is not a size."""
    if not recipe.scales:
        return []
    if recipe.resize is not None:
        raise UsageError(
            f"{param('resize')} and {param('scales')} do not go together: each size has a canvas of its own"
        )
    scales = recipe.scales.split(",")
    for scale in scales:
        parse_size(scale)
    return scales
