"""`featstore.evaluate`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from featstore.api.common import loaded, warn_of
from featstore.datasets.options import DataKeywords, DataOptions
from featstore.datasets.sources import DataLike, as_manifest
from featstore.system.fields import check_names
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike
    from featstore.runs.evaluation import Evaluation
    from featstore.runs.probing import OneOrMoreProbes
    from featstore.runs.run import Run


def evaluate(
    run: Run | OnePath,
    data: DataLike,
    *,
    probes: OneOrMoreProbes = (),
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[DataKeywords],
) -> Evaluation:
    """Measure a run on labelled images, split by split, and say what it answers to images without labels.

    Without splits, an image that the run was made with is in the split that it had then, wherever it is now. All other
    images are in the split `new`.

    Args:
        run: A run, or its folder.
        data: As for `extract`.
        probes: Changes of the images whose cost is measured, on the test split or else on new images: any of
            greyscale, blur, brightness, rotate and jpeg, with an amount as in `blur=3`.
        weights: File of the base's weights, if it was moved; one for each base of the run.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or that of the run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `DataOptions`: how `data` is read.

    Returns:
        Metrics by split, as in `Run.metrics`, and the answers to all images. Without labels there are no metrics.

    Raises:
        UsageError: There is no such probe.
        DataError: A label is not one of the run's, or no image can be read.
        RunError: The base or its weights are not those of the run.
        BaseUnavailable: An image is not in the cache, and the weights are not there.

    Warns:
        LeakWarning: Held-out images are among those that the run was trained on.
    """
    from featstore.runs.evaluation import evaluate_run

    check_names("option", options, DataKeywords.__annotations__)
    manifest = as_manifest(data, DataOptions(**options), cache)
    with displayed(progress) as display:
        evaluation = evaluate_run(loaded(run), manifest, probes=probes, weights=weights, cache=cache, progress=display)
    warn_of(evaluation.notes, evaluation.data)
    return evaluation
