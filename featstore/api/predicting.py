"""`featstore.predict`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from featstore.api.common import loaded
from featstore.datasets.options import DataOptions, ImageKeywords
from featstore.datasets.sources import DataLike
from featstore.system.fields import check_names
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike
    from featstore.runs.prediction import Prediction
    from featstore.runs.run import Run


def predict(
    run: Run | OnePath,
    images: DataLike,
    *,
    unsure: float | None = None,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[ImageKeywords],
) -> Prediction:
    """Predict the labels of images.

    Features go through the cache, so images that were seen before cost nothing.

    Args:
        run: A run, or its folder.
        images: One or more image files, and folders of them; or a table, arrays or images in memory, as `data` of the
            other verbs.
        unsure: Share of images, such as 0.9, for which the right class must be among the answers. Then each image has
            `answers`: as many classes as this takes. Default: no such answers.
        weights: File of the base's weights, if it was moved; one for each base of the run.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or that of the run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: `follow_links`, `image_folder` and `path_column` of `DataOptions`: how `images` is read.

    Returns:
        Label and probabilities of each image that can be read, in the order given, folders sorted.

    Raises:
        UsageError: `unsure` is more than the validation images of the run can promise.
        DataError: No image can be read.
        RunError: The base or its weights are not those of the run.
        BaseUnavailable: An image is not in the cache, and the weights are not there.
    """
    from featstore.runs.prediction import predict_images

    check_names("option", options, ImageKeywords.__annotations__)
    with displayed(progress) as display:
        return predict_images(
            loaded(run), images, DataOptions(**options), unsure=unsure, weights=weights, cache=cache, progress=display
        )
