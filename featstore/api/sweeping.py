"""`featstore.sweep`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from featstore.api.common import FeatureKeywords, refuse_head_parameters, warn_of
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.errors import UsageError, param
from featstore.extraction.recipe_grid import make_recipes
from featstore.sweeping.settings import SweepSettings
from featstore.system.paths import OnePath
from featstore.system.progress import Progress, displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.evaluation.averaging import Average
    from featstore.extraction.cache import CacheLike
    from featstore.heads.registry import HeadName
    from featstore.sweeping.result import Sweep
    from featstore.sweeping.settings import By
    from featstore.training.head_recipe import TrainOn


def sweep(
    data: DataLike,
    heads: HeadName | Sequence[HeadName] | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    trials: int = 100,
    time: float | None = None,
    by: By = "log-loss",
    folds: int = 5,
    ensemble: bool = False,
    jobs: int | None = None,
    train_on: TrainOn | None = None,
    average: Average | None = None,
    calibrate: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    cache: CacheLike = None,
    runs: OnePath = "runs",
    name: str | None = None,
    journal: OnePath | None = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> Sweep:
    """Search for the best head and its parameters by cross-validation, and save the winner as a run.

    No image of a test split is used in the search. The winner is trained on the training split, as `train_head` does
    it, and it alone is measured on the test split. A sweep that was interrupted goes on where it was.

    Args:
        data: As for `extract`.
        heads: Name of a head, or several. Default: logistic, ridge, lda, linear, rbf-svm and knn, which are fast.
        parameters: Parameters that are not searched, for those of the heads that have them.
        trials: Most heads that are tried, each with parameters of its own.
        time: Seconds after which the search ends, but not before its first trial; the winner is then trained. Default:
            no limit.
        by: What the winner is the best in, by cross-validation: `log-loss` or `accuracy`.
        folds: Number of folds.
        ensemble: Whether the mean of the best heads is saved instead of the best one, if it is better beyond noise.
        jobs: Number of processes that try heads. Default: one for each core.
        train_on: With several views, `plain` trains on one of them, `all` on each. Default: `plain`.
        average: With several views, what is averaged over them. Default: `probabilities`.
        calibrate: Whether the images to stop on choose a temperature, which makes the probabilities as sure as they
            should be.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        seed: Seed of the search, of the heads, and of random weights.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        runs: Folder in which the run is saved.
        name: Name of its folder there. Default: made of the data, the base, the head, and what differs from defaults.
        journal: File of the trials, from which the same call goes on. Default: one below `runs/sweeps`.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`; lists of values are searched over.

    Returns:
        The run of the winner, and the trials, best first, with intervals; which of them are not significantly different
        from the best is said.

    Raises:
        UsageError: An option, a head or a parameter is not known.
        DataError: There is nothing to train on, a class is too small for the folds, or no trial could be finished.
        BaseUnavailable: A base or its weights cannot be loaded.
        StoreError: The cache or the journal cannot be read or written.
        RunError: The run cannot be saved, or the journal is that of another sweep.

    Warns:
        LeakWarning: Copies of training images are in the validation or test split, or images were in another split in
            earlier runs of the same data.
    """
    from featstore.comparison.grid import settings_by_head
    from featstore.heads.registry import settle_head
    from featstore.sweeping.job import DEFAULT_HEADS, sweep_heads

    refuse_head_parameters(options)
    reading, features = split_keywords(options)
    if features.get("weights_seed", seed) != seed:
        raise UsageError(f"{param('weights_seed', features['weights_seed'])}: sweep has one {param('seed')} for all")
    asked = DEFAULT_HEADS if heads is None else [heads] if isinstance(heads, str) else heads
    names = [settle_head(head) for head in asked]
    fixed = settings_by_head(names, parameters or {})
    settings = SweepSettings(
        trials=trials,
        time=time,
        by=by,
        folds=folds,
        ensemble=ensemble,
        jobs=jobs,
        seed=seed,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
    )
    recipes = make_recipes(seed, **features)
    with displayed(progress) as display:
        found = sweep_heads(
            Source(data, reading, cache),
            recipes,
            names,
            fixed,
            HeadRecipe(train_on=train_on, average=average, calibrate=calibrate),
            settings,
            cache=cache,
            runs=runs,
            name=name,
            journal=journal,
            progress=display,
        )
    warn_of(found.notes, found.data)
    return found
