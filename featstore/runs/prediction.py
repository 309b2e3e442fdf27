"""Labels and probabilities for new images, through the same reading, base and head as in training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Skipped, list_files
from featstore.errors import RunError, UsageError
from featstore.extraction.pipeline import cache_folder, extract_features
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.images.views import parse_views
from featstore.runs.run import Run
from featstore.spec import FeatureSpec

if TYPE_CHECKING:
    from featstore.extraction.job import Progress


class Predicted(NamedTuple):
    """One image: the most probable class, its probability, and those of all classes in the order of the run's."""

    path: str
    label: str
    probability: float
    probabilities: tuple[float, ...]


class Prediction(NamedTuple):
    """`images` in the order given, folders sorted; files that could not be read are in `skipped`."""

    images: tuple[Predicted, ...]
    skipped: tuple[Skipped, ...]


def predict(
    run: Run,
    images: Sequence[str | os.PathLike[str]],
    *,
    weights: str | Sequence[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict image files, and all those below folders.

    The features go through the cache, so images seen before cost nothing. `weights` names the file of the weights, or
    of the user's `.keras` base, anew where it was moved; one for each base of the run. Raises RunError if base or
    weights are not those of the run, DataError if nothing can be read.
    """
    from featstore.features.views import load_in_blocks

    folder = cache_folder(cache)
    recipes = recipes_of(run, weights, folder)
    extraction = extract_features(list_files(images), recipes, cache, progress)
    pictures = extraction.manifest.pictures
    rows = []
    for picture, row in zip(pictures, run.answer(load_in_blocks(pictures, extraction.plans, folder)), strict=True):
        best = int(row.argmax())
        rows.append(Predicted(picture.path, run.classes[best], float(row[best]), tuple(map(float, row))))
    return Prediction(tuple(rows), extraction.manifest.skipped)


def recipes_of(run: Run, weights: str | Sequence[str] | None, cache: Path) -> list[Recipe]:
    """The recipes of the features that `run` is asked with, without the augmentation, which is for training only.

    `weights` as in `predict`. Raises RunError where they do not come to the features that it was trained on.
    """
    named = [weights] if isinstance(weights, str) else list(weights or ())
    if named and len(named) != len(run.recipes):
        raise UsageError(f"{run.folder}: has {len(run.recipes)} bases: give --weights once for each, in their order")
    recipes = [replace(r, views="one", augment=None) if parse_views(r.views)[1] else r for r in run.recipes]
    if named:
        recipes = [recipe.with_weights(file) for recipe, file in zip(recipes, named, strict=True)]
    memory = DigestMemory(cache / "digests")
    specs = [part.spec for recipe in recipes for part in make_plan(recipe, memory).parts]
    if tuple(specs) != run.specs:
        different = ", ".join(dict.fromkeys(_differences(run.specs, specs))) or "their number"
        raise RunError(
            f"{run.folder}: was trained on other features ({different} differs); "
            "give the weights it was trained with, with --weights"
        )
    return recipes


def _differences(expected: Sequence[FeatureSpec], found: Sequence[FeatureSpec]) -> Iterator[str]:
    for one, other in zip(expected, found, strict=False):
        yield from (name for name, value in one.describe().items() if other.describe()[name] != value)
