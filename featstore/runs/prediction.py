"""Predictions for new images, with the reading, base and head of the training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Manifest, Skipped
from featstore.datasets.sources import list_files
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import extract_planned
from featstore.runs.recipes import cache_of, plans_of, weights_wanted
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
        classes: Names of the classes, in the order of the probabilities.
    """

    images: tuple[ImagePrediction, ...]
    skipped: tuple[Skipped, ...]
    classes: tuple[str, ...]

    def parts(self) -> Iterator[Table]:
        """Yield a row for each image."""
        yield self.table()

    def table(self, top: int = 1) -> Table:
        """Return a row for each image, with its `top` most probable classes and their probabilities."""
        ranks = range(1, min(top, len(self.classes)) + 1)
        header = [f"{column} {rank}" if rank > 1 else column for rank in ranks for column in ("label", "probability")]
        rows = []
        for image in self.images:
            cells = [cell for name, share in self.most_probable(image, top) for cell in (name, figure(share))]
            rows.append((image.path, *cells))
        return Table(("image", *header), rows)

    def most_probable(self, image: ImagePrediction, top: int) -> list[tuple[str, float]]:
        """Return the `top` most probable classes of an image with their probabilities, the most probable first."""
        shares = zip(self.classes, image.probabilities, strict=True)
        return sorted(shares, key=lambda share: -share[1])[:top]


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

    Features go through the cache of the run, so images that were seen before cost nothing and need no weights.
    `weights` are the new paths of moved weights, or of the user's `.keras` bases, one for each base of the run. Raises
    RunError if they are not those of the run, BaseUnavailable if they are wanted and not there, DataError if no image
    can be read.
    """
    from featstore.features.views import load_in_blocks

    cache = cache_of(run, cache, progress)
    images = images if isinstance(images, Manifest) else list_files(images)
    plans = plans_of(run, weights, cache)
    with weights_wanted(run, weights):
        extraction = extract_planned(images, plans, cache, progress)
    pictures = extraction.manifest.pictures
    rows = []
    for picture, row in zip(
        pictures, run.predict_blocks(load_in_blocks(pictures, extraction.plans, cache)), strict=True
    ):
        best = int(row.argmax())
        rows.append(ImagePrediction(picture.path, run.classes[best], float(row[best]), tuple(map(float, row))))
    return Prediction(tuple(rows), extraction.manifest.skipped, run.classes)
