"""`featstore.extract`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from featstore.api.common import FeatureKeywords
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, as_manifest
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.cluster.options import AddressLike
    from featstore.extraction.cache import CacheLike
    from featstore.extraction.devices import DevicesLike
    from featstore.extraction.pipeline import Extraction


def extract(
    data: DataLike,
    *,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    devices: DevicesLike = None,
    ray: AddressLike = None,
    workers: int | None = None,
    num_gpus: float | None = None,
    **options: Unpack[FeatureKeywords],
) -> Extraction:
    """Complete the features of a data set in the cache.

    Only rows that are missing are computed. With views `augment:K` the training images, which need labels, get their
    augmented versions too.

    Args:
        data: A folder, a tar, or the URL of one; a table with columns such as path and label, as CSV, Parquet,
            DataFrame or mapping; a list of paths or of pairs (path, label); arrays or images of Pillow, alone, as
            (images, labels) or in a .npz; or the manifest of any of them, from `scan`.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        devices: What computes, with a process for each: `all` GPUs of this machine, or a list of numbers of GPUs and
            `cpu`, as "0,1" or [0, 1]. "cpu,cpu" divides the cores. Default: what TensorFlow finds, in this process.
        ray: Where workers on Ray compute (extra `ray`): the address of a cluster, as `host:6379` or `auto`; or True for
            a Ray that is started on this machine and stopped afterwards. One that the program has started is used as
            it is. Images, weights and cache need names that hold on all nodes: a shared folder, or URLs.
        workers: Number of workers on Ray. Default: as many as there are GPUs, or else nodes.
        num_gpus: GPUs of each worker, as 0.5 for two that share one. Default: 1 where there are any.
        **options: The fields of `Recipe`; all but `augment`, `weights_seed` and `top` may be lists, which makes one set
            of features for each combination. And those of `DataOptions`: how `data` is read.

    Returns:
        The images that have all their rows, with digests, and a `FeatureSet` for each recipe and size.

    Raises:
        UsageError: An option makes no sense, a GPU is not there, or more workers are asked for than fit.
        DataError: The layout of `data` is not known, or no image of it can be read.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.
        ClusterUnavailable: Ray cannot be reached.
    """
    from featstore.cluster.options import parse_cluster
    from featstore.extraction.devices import parse_devices
    from featstore.extraction.pipeline import extract_all

    reading, features = split_keywords(options)
    recipes = make_recipes(**features)
    cluster = parse_cluster(ray, workers, num_gpus, devices)
    places = parse_devices(devices)
    manifest = as_manifest(data, reading, cache)
    with displayed(progress) as display:
        if cluster:
            from featstore.cluster.job import extract_on_ray

            return extract_on_ray(cluster, manifest, recipes, cache, display)
        if not places:
            return extract_all(manifest, recipes, cache, display)
        from featstore.extraction.device_processes import extract_on

        return extract_on(places, manifest, recipes, cache, display)
