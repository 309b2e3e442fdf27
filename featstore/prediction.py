"""Labels and probabilities for new images, through the same reading, base and head as in training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from featstore.errors import RunError
from featstore.images.digests import DigestMemory
from featstore.images.manifest import Skipped, list_files
from featstore.recipe import resolve
from featstore.runs import Run
from featstore.spec import FeatureSpec
from featstore.workflow import cache_folder, extract_features, load_features

if TYPE_CHECKING:
    from featstore.extraction import Progress


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
    weights: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict image files, and all those below folders.

    The features go through the cache, so images seen before cost nothing. `weights` names the file of the weights, or
    of the user's `.keras` base, anew where it was moved. Raises RunError if base or weights are not those of the run,
    DataError if nothing can be read.
    """
    recipe = run.recipe.with_weights(weights) if weights else run.recipe
    spec = resolve(recipe, DigestMemory(cache_folder(cache) / "digests"))
    if spec != run.spec:
        raise RunError(
            f"{run.folder}: was trained on other features ({_difference(run.spec, spec)} differs); "
            "give the weights it was trained with, with --weights"
        )
    extraction = extract_features(list_files(images), [recipe], cache, progress)
    X = load_features(extraction.manifest, spec, cache=cache).X
    rows = []
    for picture, row in zip(extraction.manifest.pictures, run.predict_proba(X), strict=True):
        best = int(row.argmax())
        rows.append(Predicted(picture.path, run.classes[best], float(row[best]), tuple(map(float, row))))
    return Prediction(tuple(rows), extraction.manifest.skipped)


def _difference(expected: FeatureSpec, found: FeatureSpec) -> str:
    return ", ".join(name for name, value in expected.describe().items() if found.describe()[name] != value)
