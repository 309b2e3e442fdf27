"""The diagnosis of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from featstore.datasets.manifest import Manifest
from featstore.diagnosis.costs import find_costs
from featstore.diagnosis.engines import find_engines
from featstore.diagnosis.gpus import find_gpus
from featstore.diagnosis.hardware import find_processor, look_at_memory
from featstore.diagnosis.network import look_at_network
from featstore.diagnosis.packages import find_packages
from featstore.diagnosis.places import find_weights, look_at_cache
from featstore.diagnosis.result import Diagnosis
from featstore.diagnosis.settings import find_settings
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.recipe import Recipe
from featstore.objects.caches import cache_location, local_of
from featstore.system.progress import Progress, Silent


def diagnose(
    cache: CacheLike,
    manifest: Manifest | None = None,
    recipes: Sequence[Recipe] = (),
    progress: Progress | None = None,
    *,
    network: bool = False,
    deep: bool = False,
) -> Diagnosis:
    """Return what is installed and found, and for the images of `manifest` a forecast for each of `recipes`.

    TensorFlow loads in this process only if `deep`, or if the digest of weights is not known; and only `network` sends
    something.
    """
    folder = cache.folder if isinstance(cache, Cache) else cache_location(cache)
    topics = [
        find_packages(),
        find_processor(),
        look_at_memory(),
        find_gpus(),
        find_engines(local_of(folder), deep),
        look_at_cache(folder),
        find_weights(),
        find_settings(),
        look_at_network(network),
    ]
    if manifest is None:
        return Diagnosis(topics=tuple(topics))
    data, forecasts = find_costs(manifest, recipes, Cache.at(cache), progress or Silent())
    return Diagnosis(topics=(*topics, data), forecasts=forecasts)
