"""`featstore.report` and `featstore.report_runs`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from featstore.api.common import FeatureKeywords, loaded, refuse_head_parameters, warn_of
from featstore.datasets.options import DataKeywords, DataOptions, split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.errors import UsageError, param
from featstore.extraction.recipe_grid import make_recipes
from featstore.reporting.settings import PageSettings, SearchSettings
from featstore.system.fields import check_names
from featstore.system.paths import OneOrMorePaths, OnePath, is_path
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike
    from featstore.heads.registry import HeadName
    from featstore.reporting.result import Report
    from featstore.runs.run import Run


def report(
    data: DataLike,
    heads: HeadName | Sequence[HeadName] | None = None,
    *,
    out: OnePath = "report.html",
    trials: int = 20,
    time: float | None = None,
    audit: bool = True,
    images: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    cache: CacheLike = None,
    runs: OnePath = "runs",
    name: str | None = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> Report:
    """Audit a data set, search for the best head, and write all that is known as one HTML page that needs nothing else.

    The winner is saved as a run. The page has the audit, the search, the metrics, what more photos would be worth, and
    every image on a map, with heat maps for those to look at.

    Args:
        data: As for `extract`.
        heads: Name of a head, or several, to search among. Default: those of `sweep`.
        out: The page to write.
        trials: Most heads that are tried, each with parameters of its own.
        time: Seconds after which the search ends, but not before its first trial. Default: no limit.
        audit: Whether the data are audited first.
        images: Whether thumbnails and heat maps are on the page; without them it has the paths of images only.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        seed: Seed of all that is drawn.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        runs: Folder in which the run of the winner is saved.
        name: Name of its folder there. Default: made of the data, the base, the head, and what differs from defaults.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`, each with one value.

    Returns:
        Where the page is, and all that is on it.

    Raises:
        UsageError: An option or a head is not known, there are several sets of features, or `out` is a folder.
        DataError: There is nothing to train on.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written, or the page cannot be written.
        RunError: The run cannot be saved.

    Warns:
        LeakWarning: The audit found what makes figures wrong, such as copies of training images in the test split.
    """
    from featstore.heads.registry import settle_head
    from featstore.reporting.job import report_data
    from featstore.sweeping.job import DEFAULT_HEADS

    refuse_head_parameters(options)
    reading, features = split_keywords(options)
    if features.get("weights_seed", seed) != seed:
        raise UsageError(f"{param('weights_seed', features['weights_seed'])}: report has one {param('seed')} for all")
    recipes = make_recipes(seed, **features)
    if len(recipes) > 1:
        raise UsageError(f"{len(recipes)} sets of features, but a report takes one; compare measures several")
    asked = DEFAULT_HEADS if heads is None else [heads] if isinstance(heads, str) else heads
    search = SearchSettings(trials=trials, time=time, val_fraction=val_fraction, test_fraction=test_fraction)
    with displayed(progress) as display:
        found = report_data(
            Source(data, reading, cache),
            recipes[0],
            [settle_head(head) for head in asked],
            search,
            PageSettings(audit=audit, images=images, seed=seed),
            out=out,
            cache=cache,
            runs=runs,
            name=name,
            progress=display,
        )
    warn_of(found.alarms, found.content.data)
    return found


def report_runs(
    runs: Run | OnePath | Sequence[Run | OnePath],
    data: DataLike | None = None,
    *,
    out: OnePath = "report.html",
    audit: bool = True,
    images: bool = True,
    weights: OneOrMorePaths | None = None,
    seed: int = 0,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[DataKeywords],
) -> Report:
    """Measure saved runs again, side by side, and write all that is known of them and their data as one HTML page.

    Args:
        runs: A run or several, or their folders.
        data: As for `extract`: where the labelled images are now. Default: where the data of the first run were.
        out: The page to write.
        audit: Whether the data are audited first.
        images: Whether thumbnails and heat maps are on the page; without them it has the paths of images only.
        weights: File of the base's weights, if it was moved; one for each base of the run. For a single run.
        seed: Seed of all that is drawn.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or that of each run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `DataOptions`: how the data are read.

    Returns:
        Where the page is, and all that is on it.

    Raises:
        UsageError: The data are not where they were, or `out` is a folder.
        DataError: A label is not one of the runs', or no image can be read.
        RunError: No image is held out by all runs, or the base or its weights are not those of a run.
        BaseUnavailable: An image is not in the cache, and the weights are not there.
        StoreError: The page cannot be written.

    Warns:
        LeakWarning: The audit found what makes figures wrong, such as copies of training images in the test split.
    """
    from featstore.reporting.job import report_runs as write_report

    check_names("option", options, DataKeywords.__annotations__)
    several = runs if isinstance(runs, Sequence) and not is_path(runs) else [runs]
    with displayed(progress) as display:
        found = write_report(
            [loaded(run) for run in several],
            data,
            DataOptions(**options),
            PageSettings(audit=audit, images=images, seed=seed),
            out=out,
            weights=weights,
            cache=cache,
            progress=display,
        )
    warn_of(found.alarms, found.content.data)
    return found
