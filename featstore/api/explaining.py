"""`featstore.explain`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from featstore.api.common import loaded
from featstore.datasets.options import DataKeywords, DataOptions
from featstore.datasets.sources import DataLike
from featstore.system.fields import check_names
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.explanation.explained import Explained
    from featstore.extraction.cache import CacheLike
    from featstore.runs.run import Run


def explain(
    run: Run | OnePath,
    images: DataLike | None = None,
    *,
    wrong: int | None = None,
    method: str | None = None,
    label: str | None = None,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[DataKeywords],
) -> Explained:
    """Explain which cells of images speak for a class, and which against it.

    The maps of the images go through the cache, so that images that were explained before need no network.

    Args:
        run: A run, or its folder.
        images: As for `predict`. With `wrong`, labelled data as for `evaluate`; default: those of the run.
        wrong: So many wrong answers are explained, the most confident ones. Default: all images are explained.
        method: `cam`, `grad-cam`, `hires-cam`, `cells` or `occlusion`. Default: `cam` where the head is linear, else
            `hires-cam` where it is a network, else `cells`.
        label: The class that is explained, against the most probable other one. Default: the answer to each image.
        weights: File of the base's weights, if it was moved; one for each base of the run.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or that of the run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `DataOptions`: how `images` is read.

    Returns:
        The heat map of each image that can be read, in the order given, folders sorted.

    Raises:
        UsageError: There is no such method or class, or the method does not explain this run.
        DataError: No image can be read, or no answer is wrong.
        RunError: The base or its weights are not those of the run.
        BaseUnavailable: A map is not in the cache, and the weights are not there.
    """
    from featstore.explanation.job import explain_images

    check_names("option", options, DataKeywords.__annotations__)
    with displayed(progress) as display:
        return explain_images(
            loaded(run),
            images,
            DataOptions(**options),
            wrong=wrong,
            method=method,
            label=label,
            weights=weights,
            cache=cache,
            progress=display,
        )
