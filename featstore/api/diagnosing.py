"""`featstore.doctor`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from featstore.api.common import FeatureKeywords
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, as_manifest
from featstore.errors import UsageError, param
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.diagnosis.result import Diagnosis
    from featstore.extraction.cache import CacheLike


def doctor(
    data: DataLike | None = None,
    *,
    network: bool = False,
    deep: bool = False,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> Diagnosis:
    """Say what is installed and found on this machine, what is wrong with it, and what an extraction would take.

    Args:
        data: As for `extract`; then a trial of 20 images forecasts the time, disk and memory for all that are not in
            the cache. Nothing is extracted.
        network: Whether to try the host from which Keras downloads ImageNet weights, which takes up to 3 seconds.
        deep: Whether to load every engine, and to compute an image with the built-in base.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: As for `extract`. Without `model` some usual bases are tried, with random weights, which are as fast.

    Returns:
        What was found, topic by topic; `problems` says what is wrong and what to do, a base that cannot be extracted
        among them.

    Raises:
        UsageError: An option makes no sense, or is there without `data`.
        DataError: The layout of `data` is not known.
    """
    from featstore.diagnosis.costs import USUAL
    from featstore.diagnosis.job import diagnose
    from featstore.extraction.recipe_grid import make_recipes

    if data is None:
        for name in options:
            raise UsageError(f"{param(name)}: is for a forecast; give the data too")
        return diagnose(cache, network=network, deep=deep)
    reading, features = split_keywords(options)
    if not features.get("model"):
        features = {**features, "model": USUAL, "weights": features.get("weights") or "random"}
    recipes, manifest = make_recipes(**features), as_manifest(data, reading, cache)
    with displayed(progress) as display:
        return diagnose(cache, manifest, recipes, display, network=network, deep=deep)
