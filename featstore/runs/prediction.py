"""Predictions for new images, with the reading, base and head of the training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Manifest, Skipped
from featstore.datasets.sources import list_files
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.runs.recipes import recipes_of
from featstore.runs.run import Run
from featstore.system.figures import figure
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.system.progress import Progress


class ImagePrediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        path: Path of the image.
        label: The most probable class.
        probability: Probability of that class, 0 to 1.
        probabilities: Probabilities of all classes, in the order of `Run.classes`.
    """

    path: str
    label: str
    probability: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Prediction(Shown):
    """The predictions for a list of images.

    Attributes:
        images: One for each image, in the order given; the images of a folder are sorted by path.
        skipped: Files that could not be read.
    """

    images: tuple[ImagePrediction, ...]
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[Table]:
        """Yield a row for each image."""
        rows = [(image.path, image.label, figure(image.probability)) for image in self.images]
        yield Table(("image", "label", "probability"), rows)


@pinned()
def predict_images(
    run: Run,
    images: Sequence[str | os.PathLike[str]] | Manifest,
    *,
    weights: str | Sequence[str] | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict image files and all images below folders; see `featstore.predict`.

    Features go through the cache, so images that were seen before cost nothing. `weights` are the new paths of moved
    weights, or of the user's `.keras` bases, one for each base of the run. Raises RunError if they are not those of
    the run, DataError if no image can be read.
    """
    from featstore.features.views import load_in_blocks

    cache = Cache.at(cache)
    images = images if isinstance(images, Manifest) else list_files(images)
    recipes = recipes_of(run, weights, cache)
    extraction = extract_features(images, recipes, cache, progress)
    pictures = extraction.manifest.pictures
    rows = []
    for picture, row in zip(
        pictures, run.predict_blocks(load_in_blocks(pictures, extraction.plans, cache)), strict=True
    ):
        best = int(row.argmax())
        rows.append(ImagePrediction(picture.path, run.classes[best], float(row[best]), tuple(map(float, row))))
    return Prediction(tuple(rows), extraction.manifest.skipped)
