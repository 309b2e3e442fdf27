"""`featstore.learning_curve`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from featstore.api.common import FeatureKeywords, refuse_head_parameters, warn_of
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.errors import UsageError
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.progress import Progress, displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.comparison.learning_result import LearningCurve
    from featstore.evaluation.averaging import Average
    from featstore.extraction.cache import CacheLike
    from featstore.heads.registry import HeadName
    from featstore.training.head_recipe import TrainOn


def learning_curve(
    data: DataLike,
    heads: HeadName | Sequence[HeadName] = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    draws: int = 5,
    more: int | None = None,
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
) -> LearningCurve:
    """Measure heads trained on more and more of the images, and say what more photos would be worth.

    Args:
        data: As for `extract`.
            Splits that it does not bring are made from the content of the images.
        heads: Name of a head, or several; `module:Class` for any estimator of scikit-learn or of your own.
        parameters: Parameters for those of the heads that have them, as in `{"C": 0.1}`.
        draws: How many training sets of each size are drawn.
        more: How many more photos of each class to judge. Default: about half as many as there are.
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
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`, but for one set of features.

    Returns:
        Accuracies by head and size, with intervals, and what more photos would be worth, in figures and in words.

    Raises:
        UsageError: An option, a head or a parameter is not known.
        DataError: A class has too few training images.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.

    Warns:
        LeakWarning: Copies of training images are among those that are measured on.
    """
    from featstore.comparison.grid import Measurement, settings_by_head
    from featstore.comparison.learning_curve import measure_learning_curve
    from featstore.heads.registry import settle_head

    refuse_head_parameters(options)
    reading, features = split_keywords(options)
    names = [settle_head(name) for name in ([heads] if isinstance(heads, str) else heads)]
    settings_by_head(names, parameters or {})  # a slip is told before the data are read, which takes time
    recipes = make_recipes(seed, **features)
    if len(recipes) > 1:
        raise UsageError(f"{len(recipes)} sets of features, but a learning curve takes one; compare measures several")
    measurement = Measurement(
        seed=seed, val_fraction=val_fraction, test_fraction=test_fraction, val_as_test=val_as_test
    )
    source = Source(data, reading, cache)
    with displayed(progress) as display:
        curve = measure_learning_curve(
            source,
            recipes[0],
            names,
            parameters or {},
            HeadRecipe(train_on=train_on, average=average, calibrate=calibrate),
            measurement,
            draws=draws,
            more=more,
            cache=cache,
            progress=display,
        )
    warn_of(curve.notes, curve.data)
    return curve
