"""The features of a run, for prediction, evaluation and fine-tuning: their cache, their rows, and their base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.bases.whereabouts import describe_places
from featstore.datasets.manifest import Manifest
from featstore.errors import BaseUnavailable, RunError, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.moved_weights import find_weights
from featstore.extraction.pipeline import Extraction, extract_planned
from featstore.extraction.plan import Plan, make_plan, plan_of_specs
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import canonical_spec
from featstore.images.views import parse_views
from featstore.objects.caches import may_be_there
from featstore.runs.run import Run
from featstore.spec import FeatureSpec
from featstore.system.paths import OneOrMorePaths, one_or_more

if TYPE_CHECKING:
    from featstore.system.progress import Progress


def cache_of(run: Run, cache: CacheLike, progress: Progress | None) -> Cache:
    """Return the cache that the user has chosen, else the one that made the run, while it is there.

    Where it is not, the default is used, and told.
    """
    chosen = Cache.at(cache)
    if chosen.is_chosen or run.cache is None or run.cache == chosen.folder.absolute():
        return chosen
    if may_be_there(run.cache):
        return Cache(run.cache, rehash=chosen.rehash)
    if progress:
        progress.tell(
            f"the cache of the run is expected at {run.cache}, and is not there: features go to {chosen.folder}"
        )
    return chosen


def plans_of(run: Run, weights: OneOrMorePaths | None, cache: Cache, *, read_weights: bool = False) -> list[Plan]:
    """Return the rows that `run` predicts from, without augmentation, which is for training only.

    Unless they are read, the weights need not be there: they are wanted for rows that are not in the cache, and checked
    then. Raises RunError if the features would be others than those that the run was trained on.

    weights: new paths of moved weights, one for each base; they are read at once. read_weights: whether those of the
    run are read at once too.
    """
    cache.digests.refresh()
    named = [] if weights is None else one_or_more(weights, "weights")
    if named and len(named) != len(run.recipes):
        raise UsageError(
            f"{run.folder}: has {len(run.recipes)} bases; give {param('weights')} once for each, in their order"
        )
    recipes = [replace(r, views="one", augment=None) if parse_views(r.views)[1] else r for r in run.recipes]
    if named:
        recipes = [recipe.with_weights(file) for recipe, file in zip(recipes, named, strict=True)]
    plans, left = [], run.specs
    for recipe in recipes:
        specs, left = left[: recipe.sizes], left[recipe.sizes :]
        if len(specs) < recipe.sizes:
            raise _other_features(run, ["their number"])
        if read_weights and not named:
            recipe = find_weights(recipe, specs[0], run.folder)
        plans.append(_plan(run, recipe, specs, cache, bool(named) or read_weights))
    if left:
        raise _other_features(run, ["their number"])
    return plans


def complete_rows(
    run: Run,
    manifest: Manifest,
    plans: Sequence[Plan],
    weights: OneOrMorePaths | None,
    cache: Cache,
    progress: Progress | None,
) -> Extraction:
    """Complete the rows of `plans`, which are those of `run`, for all images of `manifest`.

    Only if a row is missing are the weights read, and looked for where they may be now: some of these places take
    TensorFlow. Raises BaseUnavailable if they are nowhere.
    """
    with weights_wanted(run, weights):
        try:
            return extract_planned(manifest, plans, cache, progress)
        except BaseUnavailable:
            found = [replace(plan, recipe=find_weights(plan.recipe, plan.spec, run.folder)) for plan in plans]
            if weights or found == plans:
                raise
            return extract_planned(manifest, found, cache, progress)


@contextmanager
def weights_wanted(run: Run, weights: OneOrMorePaths | None) -> Iterator[None]:
    """Say, where the block fails for want of weights that the user has not named, that they are those of the run."""
    try:
        yield
    except BaseUnavailable as error:
        missing = [path for recipe in run.recipes if (path := recipe.path()) and not Path(path).exists()]
        if weights or not missing:
            raise
        raise BaseUnavailable(
            f"{run.folder}: the weights of the run are expected at {missing[0]}, and are neither there nor "
            f"{describe_places()}; give their place with {param('weights')}"
        ) from error


def _plan(run: Run, recipe: Recipe, specs: Sequence[FeatureSpec], cache: Cache, read_weights: bool) -> Plan:
    """Return the plan of one recipe of `run`, which was resolved to `specs`; raises RunError if it is not any more."""
    try:
        plan = make_plan(recipe, cache.digests, None if read_weights else specs[0].weights)
    except BaseUnavailable:
        if read_weights:
            raise
        return plan_of_specs(recipe, specs)  # a network of the user's is not there: nothing can contradict the specs
    # An earlier release may have made the run, and written the same features in another way.
    source = recipe.source(must_exist=False)
    trained = [canonical_spec(spec, source) for spec in specs]
    found = [part.spec for part in plan.parts]
    if trained != found:
        raise _other_features(run, list(dict.fromkeys(_differences(trained, found))))
    return plan


def _other_features(run: Run, different: Sequence[str]) -> RunError:
    return RunError(
        f"{run.folder}: was trained on other features ({', '.join(different)} differs); "
        f"name the weights that it was trained with by {param('weights')}"
    )


def _differences(expected: Sequence[FeatureSpec], found: Sequence[FeatureSpec]) -> Iterator[str]:
    """Yield the names of the fields that differ."""
    for one, other in zip(expected, found, strict=True):
        yield from (name for name, value in one.describe().items() if other.describe()[name] != value)
