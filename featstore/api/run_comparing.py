"""`featstore.compare_runs`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from featstore.api.common import loaded
from featstore.datasets.options import DataKeywords, DataOptions
from featstore.datasets.sources import DataLike
from featstore.errors import UsageError, param
from featstore.system.fields import check_names
from featstore.system.paths import OnePath, is_path
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike
    from featstore.runs.run import Run
    from featstore.runs.side_by_side import RunComparison


def compare_runs(
    runs: Sequence[Run | OnePath],
    data: DataLike | None = None,
    *,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[DataKeywords],
) -> RunComparison:
    """Compare saved runs on the images that all of them held out, and say which settings differ.

    Images are the same if their content is, wherever they lie. Those that a run was trained on are left out. Runs keep
    no labels, so the data are read again; features come from the caches of the runs.

    Args:
        runs: Two or more runs, or their folders.
        data: As for `extract`: where the labelled images are now. Default: where the data of the runs were.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or that of each run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `DataOptions`: how the data are read.

    Returns:
        Accuracy and log loss of each run, best first, and its paired difference to the best with an interval.

    Raises:
        UsageError: There are not two runs, or the data are not where they were.
        DataError: The data have no labels, none of the images, or a class that a run does not know.
        RunError: No image is held out by all runs, or the base or its weights are not those of a run.
        BaseUnavailable: An image is not in the cache, and the weights are not there.
    """
    from featstore.runs.side_by_side import measure_side_by_side

    check_names("option", options, DataKeywords.__annotations__)
    if is_path(runs) or not isinstance(runs, Sequence):
        raise UsageError(f"{param('runs')}: expected a list of two or more runs, found {runs!r}")
    named = [loaded(run) for run in runs]
    with displayed(progress) as display:
        return measure_side_by_side(named, data, DataOptions(**options), cache=cache, progress=display)
