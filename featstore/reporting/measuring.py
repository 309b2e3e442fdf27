"""A run on the data of a report: its answers to all images, and its figures as measured on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import SPLITS, Manifest
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import Extraction
from featstore.runs.evaluation import evaluate_run
from featstore.runs.predictor import Predictor
from featstore.runs.run import Run
from featstore.system.paths import OneOrMorePaths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.extraction.cache import Cache
    from featstore.runs.image_answers import ImageAnswers
    from featstore.system.progress import Progress


class Measured(NamedTuple):
    """A run, measured on the data of a report.

    Attributes:
        run: The run, with the metrics on these data, and what is to be said of them.
        extraction: The images that could be read, and the rows that the run answers from.
        answers: Its answers to these images, in their order.
        cache: Where the rows are.
        trained_on: Lines about held-out images that the run was trained on, or on whose groups: where the images are
            others than those of its training, no audit of them can see that.
    """

    run: Run
    extraction: Extraction
    answers: ImageAnswers
    cache: Cache
    trained_on: tuple[str, ...]

    @property
    def manifest(self) -> Manifest:
        """The images, each with the split that it had for the run; new ones have none."""
        pictures = zip(self.extraction.manifest.pictures, self.answers.splits, strict=True)
        return self.extraction.manifest.with_pictures(
            [p._replace(split=split if split in SPLITS else None) for p, split in pictures]
        )

    def features(self, places: list[int]) -> NDArray[np.float32]:
        """Return the features (n, width) of some images in the plain view; maps are averaged over their positions."""
        from featstore.features.views import load_plain

        pictures = [self.extraction.manifest.pictures[place] for place in places]
        return load_plain(pictures, self.extraction.plans, self.cache)


def measure_run(
    run: Run,
    data: Manifest,
    *,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Measured:
    """Measure `run` on `data` as `evaluate` does.

    On the images of its own training it has the figures of its training, and keeps what was said then.
    """
    predictor = Predictor.of(run, weights, cache, progress)
    extraction = predictor.complete(data)
    found = evaluate_run(run, extraction.manifest, weights=weights, cache=predictor.cache, progress=progress)
    if found.metrics and found.metrics != run.metrics:
        chosen = [run.chosen_by] if run.chosen_by else []
        run = replace(run, metrics=found.metrics, notes=found.notes, remarks=(*chosen, *found.remarks))
    return Measured(run, extraction, found.answers, predictor.cache, found.data.leaks)
