"""Labels and probabilities for new images, through the same reading, base and head as in training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Skipped, list_files
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.runs.recipes import recipes_of
from featstore.runs.run import Run
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.system.progress import Progress


class Predicted(NamedTuple):
    """One image: the most probable class, its probability, and those of all classes in the order of the run's."""

    path: str
    label: str
    probability: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Prediction(Shown):
    """`images` in the order given, folders sorted; files that could not be read are in `skipped`."""

    images: tuple[Predicted, ...]
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[Table]:
        """Yield a row for each image."""
        rows = [(image.path, image.label, f"{image.probability:.3f}") for image in self.images]
        yield Table(("image", "label", "probability"), rows)


def predict_images(
    run: Run,
    images: Sequence[str | os.PathLike[str]],
    *,
    weights: str | Sequence[str] | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict image files, and all those below folders.

    The features go through the cache, so images seen before cost nothing. `weights` names the file of the weights, or
    of the user's `.keras` base, anew where it was moved; one for each base of the run. Raises RunError if base or
    weights are not those of the run, DataError if nothing can be read.
    """
    from featstore.features.views import load_in_blocks

    cache = Cache.at(cache)
    recipes = recipes_of(run, weights, cache)
    extraction = extract_features(list_files(images), recipes, cache, progress)
    pictures = extraction.manifest.pictures
    rows = []
    for picture, row in zip(pictures, run.answer(load_in_blocks(pictures, extraction.plans, cache)), strict=True):
        best = int(row.argmax())
        rows.append(Predicted(picture.path, run.classes[best], float(row[best]), tuple(map(float, row))))
    return Prediction(tuple(rows), extraction.manifest.skipped)
