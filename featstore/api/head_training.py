"""`featstore.train_head`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from featstore.api.common import FeatureKeywords, refuse_head_parameters, warn_of
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.paths import OnePath
from featstore.system.progress import Progress, displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.evaluation.averaging import Average
    from featstore.extraction.cache import CacheLike
    from featstore.heads.registry import HeadName
    from featstore.runs.run import Run
    from featstore.training.head_recipe import TrainOn


def train_head(
    data: DataLike,
    head: HeadName = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    concat: bool = False,
    train_on: TrainOn | None = None,
    average: Average | None = None,
    calibrate: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    folds: int | None = None,
    seeds: int = 1,
    seed: int = 0,
    memory: int | None = None,
    cache: CacheLike = None,
    runs: OnePath = "runs",
    name: str | None = None,
    tensorboard: OnePath | None = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> Run:
    """Train a head on cached features and save it as a run; missing features are extracted first.

    If the training is interrupted, the best epoch so far is saved, in a run whose `interrupted` is true.

    Args:
        data: As for `extract`.
            Splits that it does not bring are made from the content of the images.
        head: Name of the head, as `featstore heads` lists them, or `module:Class` for an estimator of scikit-learn; one
            of your own can be measured with `compare`, but not saved.
        parameters: Parameters of the head, as in `{"C": 0.1}`.
        concat: Whether to put the features of several models side by side.
        train_on: With several views, `plain` trains on one of them, `all` on each. Default: `plain`.
        average: With several views, what is averaged over them. Default: `probabilities`.
        calibrate: Whether the validation split chooses a temperature, which makes the probabilities as sure as they
            should be.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        val_as_test: Whether to measure on the validation split, where there is no test split; training images take its
            place.
        folds: Number of folds of a cross-validation over all images but a given test split. It is in `folds` of the
            run, which is trained on the splits in any case. Default: none.
        seeds: How many times the cross-validation is done, with other folds and another seed each time.
        seed: Seed of the head, and of random weights unless `weights_seed` is given.
        memory: Largest size of the features in memory, in bytes; more are read from the cache block by block, by a head
            that can: `logistic-sgd`, `mlp` and the other Keras heads. Default: half of the machine's memory.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        runs: Folder in which the run is saved.
        name: Name of its folder there. Default: made of the data, the base, the head, and what differs from defaults.
        tensorboard: Folder of logs of the curve and the settings, which TensorBoard shows. Default: none.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`; a list of models needs `concat`.

    Returns:
        The run, with metrics by split: `run.metrics["test"].accuracy`.

    Raises:
        UsageError: An option, the head or one of its parameters is not known.
        DataError: There are fewer than two classes, or nothing to train on.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.
        RunError: The run cannot be saved.

    Warns:
        LeakWarning: Copies of training images are in the validation or test split, or images were in another split in
            earlier runs of the same data.
    """
    from featstore.heads.registry import entry_of
    from featstore.training.job import check_side_by_side, train

    recipe = HeadRecipe(
        head=head,
        parameters=parameters or {},
        seed=seed,
        train_on=train_on,
        average=average,
        calibrate=calibrate,
        memory=memory,
    )
    refuse_head_parameters(options)
    reading, features = split_keywords(options)
    if own_base := entry_of(recipe.head).base:
        features.setdefault("model", own_base)
    recipes = make_recipes(seed, **features)
    check_side_by_side(recipes, concat)
    source = Source(data, reading, cache)
    with displayed(progress) as display:
        trained = train(
            source,
            recipes,
            recipe,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            val_as_test=val_as_test,
            folds=folds,
            seeds=seeds,
            cache=cache,
            runs=runs,
            name=name,
            tensorboard=tensorboard,
            progress=display,
        )
    warn_of(trained.run.notes, trained.data)
    return trained.run
