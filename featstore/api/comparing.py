"""`featstore.compare`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from featstore.api.common import FeatureKeywords, refuse_head_parameters, warn_of
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.errors import UsageError, param
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.progress import Progress, displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.comparison.result import Comparison
    from featstore.evaluation.averaging import Average
    from featstore.extraction.cache import CacheLike
    from featstore.heads.registry import HeadName
    from featstore.training.head_recipe import TrainOn


def compare(
    data: DataLike,
    heads: HeadName | Sequence[HeadName] = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    seeds: int = 1,
    folds: int | None = None,
    train_on: TrainOn | None = None,
    average: Average | None = None,
    calibrate: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    seed: int = 0,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> Comparison:
    """Measure every combination of features and heads on the same held-out images.

    Args:
        data: As for `extract`.
        heads: Name of a head, or several; `module:Class` for any estimator of scikit-learn or of your own.
        parameters: Parameters for those of the heads that have them.
        seeds: How often each head is trained, with one seed after the other; accuracies are averaged.
        folds: Number of folds of a cross-validation. Default: the test split, or validation where there is none.
        train_on: With several views, `plain` trains on one of them, `all` on each. Default: `plain`.
        average: With several views, what is averaged over them. Default: `probabilities`.
        calibrate: Whether validation images choose a temperature, which makes the probabilities as sure as they should
            be.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        val_as_test: Whether to measure on the validation split, where there is no test split; training images take its
            place.
        seed: First seed of the heads, and the seed of random weights.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`.

    Returns:
        The cells, best first, with intervals, paired differences to the best, and the findings in words. A cell whose
        training fails is in `failed`.

    Raises:
        UsageError: An option, a head or a parameter is not known.
        DataError: There is nothing to train on, or no cell could be measured.
        BaseUnavailable: A base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.

    Warns:
        LeakWarning: Copies of training images are among those that are measured on.
    """
    from featstore.comparison.grid import Measurement, settings_by_head
    from featstore.comparison.job import measure_grid
    from featstore.heads.registry import settle_head

    refuse_head_parameters(options)
    reading, features = split_keywords(options)
    if features.get("weights_seed", seed) != seed:
        raise UsageError(f"{param('weights_seed', features['weights_seed'])}: compare has one {param('seed')} for all")
    names = [settle_head(name) for name in ([heads] if isinstance(heads, str) else heads)]
    settings_by_head(names, parameters or {})  # a slip is told before the data are read, which takes time
    measurement = Measurement(
        seed=seed,
        seeds=seeds,
        folds=folds,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        val_as_test=val_as_test,
    )
    recipes = make_recipes(seed, **features)
    source = Source(data, reading, cache)
    with displayed(progress) as display:
        comparison = measure_grid(
            source,
            recipes,
            names,
            parameters or {},
            HeadRecipe(train_on=train_on, average=average, calibrate=calibrate),
            measurement,
            cache=cache,
            progress=display,
        )
    warn_of(comparison.notes, comparison.data)
    return comparison
