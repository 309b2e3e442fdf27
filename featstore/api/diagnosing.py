"""`featstore.doctor`"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featstore.system.environment import cache_folder
from featstore.system.paths import OnePath, one_path

if TYPE_CHECKING:
    from featstore.diagnosis.result import Diagnosis


def doctor(*, network: bool = False, deep: bool = False, cache: OnePath | None = None) -> Diagnosis:
    """Say what is installed and found on this machine, and what is wrong with it.

    Args:
        network: Whether to try the host from which Keras downloads ImageNet weights, which takes up to 3 seconds.
        deep: Whether to load every engine, and to compute an image with the built-in base.
        cache: The folder of a cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.

    Returns:
        What was found, topic by topic; `problems` says what is wrong and what to do.

    Raises:
        UsageError: `cache` is not a path.
    """
    from featstore.diagnosis.job import diagnose

    folder = cache_folder(None if cache is None else one_path(cache, "cache"))
    return diagnose(folder, network=network, deep=deep)
