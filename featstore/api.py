"""The verbs of the Python front door; the command line calls the same jobs.

All have one shape: what the verb is about comes first, then keyword arguments. `cache` and `runs` say where results go,
`progress` shows a display, and the rest are the options of the command line under the same names. Images that are held
out and were trained on make a verb warn with `LeakWarning`, and so do images that changed their split.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from featstore.datasets.options import DataKeywords, DataOptions, ImageKeywords, split_keywords
from featstore.datasets.sources import DataLike, Source, as_images, as_manifest
from featstore.errors import LeakWarning, UsageError, param
from featstore.extraction.recipe import CheckOptions, GridOptions, Recipe
from featstore.extraction.recipe_grid import make_recipes
from featstore.finetuning.settings import FineTuneOptions
from featstore.system.fields import check_names
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.progress import Progress, displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.base_check.labelled import LabelledCheck
    from featstore.base_check.unlabelled import UnlabelledCheck
    from featstore.comparison.result import Comparison
    from featstore.datasets.summary import DataSummary
    from featstore.evaluation.averaging import Average
    from featstore.extraction.cache import CacheLike
    from featstore.extraction.pipeline import Extraction
    from featstore.finetuning.result import FineTuned
    from featstore.heads.registry import HeadName
    from featstore.runs.evaluation import Evaluation
    from featstore.runs.prediction import Prediction
    from featstore.runs.run import Run
    from featstore.training.head_recipe import TrainOn


class _Options(GridOptions, DataKeywords, total=False):
    """The fields of a `Recipe` and those of `DataOptions`."""


class _CheckOptions(CheckOptions, DataKeywords, total=False):
    """The fields of a `Recipe` that a check takes and those of `DataOptions`."""


class _TuneOptions(FineTuneOptions, DataKeywords, total=False):
    """The fields of `FineTuneSettings` and those of `DataOptions`."""


def extract(
    data: DataLike,
    *,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[_Options],
) -> Extraction:
    """Complete the features of a data set in the cache.

    Only rows that are missing are computed. With views `augment:K` the training images, which need labels, get their
    augmented versions too.

    Args:
        data: A folder; a table with columns such as path and label, as CSV, Parquet, DataFrame or mapping; a list of
            paths or of pairs (path, label); arrays or images of Pillow, alone, as (images, labels) or in a .npz; or the
            manifest of any of them, from `scan`.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe`; all but `augment`, `weights_seed` and `top` may be lists, which makes one set
            of features for each combination. And those of `DataOptions`: how `data` is read.

    Returns:
        The images that have all their rows, with digests, and a `FeatureSet` for each recipe and size.

    Raises:
        UsageError: An option makes no sense.
        DataError: The layout of `data` is not known, or no image of it can be read.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.
    """
    from featstore.extraction.pipeline import extract_all

    reading, features = split_keywords(options)
    recipes = make_recipes(**features)
    manifest = as_manifest(data, reading, cache)
    with displayed(progress) as display:
        return extract_all(manifest, recipes, cache, display)


def train_head(
    data: DataLike,
    head: HeadName = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    concat: bool = False,
    train_on: TrainOn | None = None,
    average: Average | None = None,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    seed: int = 0,
    cache: CacheLike = None,
    runs: OnePath = "runs",
    name: str | None = None,
    progress: bool | Progress = False,
    **options: Unpack[_Options],
) -> Run:
    """Train a head on cached features and save it as a run; missing features are extracted first.

    If the training is interrupted, the best epoch so far is saved, in a run whose `interrupted` is true.

    Args:
        data: As for `extract`.
            Splits that it does not bring are made from the content of the images.
        head: Name of the head: `logistic`, `bn-dropout`, `vgg-fc`, `fc-bn` or `scratch-cnn`.
        parameters: Parameters of the head, as in `{"C": 0.1}`.
        concat: Whether to put the features of several models side by side.
        train_on: With several views, `plain` trains on one of them, `all` on each. Default: `plain`.
        average: With several views, what is averaged over them. Default: `probabilities`.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        val_as_test: Whether to measure on the validation split, where there is no test split; training images take its
            place.
        seed: Seed of the head, and of random weights unless `weights_seed` is given.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        runs: Folder in which the run is saved.
        name: Name of its folder there. Default: made of the data, the base, the head, and what differs from defaults.
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
    from featstore.heads.registry import HEADS
    from featstore.training.job import check_side_by_side, train

    recipe = HeadRecipe(head=head, parameters=parameters or {}, seed=seed, train_on=train_on, average=average)
    _refuse_head_parameters(options)
    reading, features = split_keywords(options)
    if own_base := HEADS[recipe.head].base:
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
            cache=cache,
            runs=runs,
            name=name,
            progress=display,
        )
    _warn(trained.run.notes, trained.data)
    return trained.run


def compare(
    data: DataLike,
    heads: HeadName | Sequence[HeadName] = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    seeds: int = 1,
    folds: int | None = None,
    train_on: TrainOn | None = None,
    average: Average | None = None,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    seed: int = 0,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[_Options],
) -> Comparison:
    """Measure every combination of features and heads on the same held-out images.

    Args:
        data: As for `extract`.
        heads: Name of a head, or several.
        parameters: Parameters for those of the heads that have them.
        seeds: How often each head is trained, with one seed after the other; accuracies are averaged.
        folds: Number of folds of a cross-validation. Default: the test split, or validation where there is none.
        train_on: With several views, `plain` trains on one of them, `all` on each. Default: `plain`.
        average: With several views, what is averaged over them. Default: `probabilities`.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        val_as_test: Whether to measure on the validation split, where there is no test split; training images take its
            place.
        seed: First seed of the heads, and the seed of random weights.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
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

    _refuse_head_parameters(options)
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
            HeadRecipe(train_on=train_on, average=average),
            measurement,
            cache=cache,
            progress=display,
        )
    _warn(comparison.notes, comparison.data)
    return comparison


def fine_tune(
    run: Run | OnePath,
    data: DataLike,
    *,
    blocks: int | None = None,
    unfreeze: str | None = None,
    unfreeze_from: str | None = None,
    whole: bool = False,
    views: str | None = None,
    augment: str | None = None,
    weights: OnePath | None = None,
    cache: CacheLike = None,
    runs: OnePath | None = None,
    name: str | None = None,
    progress: bool | Progress = False,
    **settings: Unpack[_TuneOptions],
) -> FineTuned:
    """Train the top of a run's base together with its head, from cached inputs of that top.

    If the training is interrupted, the best epoch so far is saved, if one was better than the head, in a run whose
    `interrupted` is true.

    Args:
        run: A run of `train_head`, or its folder.
        data: The labelled images to train on, as for `train_head`.
        blocks: Number of blocks to unfreeze, from the top. Default: 1.
        unfreeze: Prefix of the names of layers; all from the first of them on are unfrozen.
        unfreeze_from: Name of the first layer to unfreeze.
        whole: Whether to unfreeze everything, and train from augmented pixels.
        views: `augment:K` trains on K random versions of each training image as well.
        augment: Changes to the ranges of these versions; `none` switches them off with `whole`.
        weights: File of the base's weights, if it was moved.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or that of the run.
        runs: Folder in which the new run is saved. Default: that of `run`.
        name: Name of its folder there. Default: that of `run` with `-tuned`.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **settings: The fields of `FineTuneSettings`, such as `rate`, `epochs` and `patience`, and of `DataOptions`.

    Returns:
        The new run and that of the head, both measured on the same images, and which of them is recommended.

    Raises:
        UsageError: An option makes no sense, or no single tensor leads into the layers to be unfrozen.
        DataError: `data` does not have the classes of the run.
        RunError: The run does not allow fine-tuning, or the new one cannot be saved.
        BaseUnavailable: The base or its weights are not those of the run.

    Warns:
        LeakWarning: Copies of training images are in the validation or test split, or images were in another split in
            earlier runs of the same data.
    """
    from featstore.finetuning.cut_choice import CutChoice
    from featstore.finetuning.job import fine_tune_run
    from featstore.finetuning.settings import FineTuneSettings

    reading, tuning = split_keywords(settings)
    check_names("option", tuning, FineTuneOptions.__annotations__)
    source = Source(data, reading, cache)
    with displayed(progress) as display:
        tuned = fine_tune_run(
            _loaded(run),
            source,
            CutChoice(blocks=blocks, prefix=unfreeze, layer=unfreeze_from, whole=whole),
            FineTuneSettings(**tuning),
            views=views,
            augment=augment,
            weights=weights,
            cache=cache,
            runs=runs,
            name=name,
            progress=display,
        )
    _warn(tuned.run.notes, tuned.data)
    for note in tuned.notes[len(tuned.run.notes) :]:  # plots that could not be written
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    return tuned


def evaluate(
    run: Run | OnePath,
    data: DataLike,
    *,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[DataKeywords],
) -> Evaluation:
    """Measure a run on labelled images, split by split.

    Without splits, an image that the run was made with is in the split that it had then, wherever it is now. All other
    images are in the split `new`.

    Args:
        run: A run, or its folder.
        data: As for `extract`.
        weights: File of the base's weights, if it was moved; one for each base of the run.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or that of the run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `DataOptions`: how `data` is read.

    Returns:
        Metrics by split, as in `Run.metrics`.

    Raises:
        DataError: A label is not one of the run's, or no labelled image can be read.
        RunError: The base or its weights are not those of the run.
        BaseUnavailable: An image is not in the cache, and the weights are not there.

    Warns:
        LeakWarning: Held-out images are among those that the run was trained on.
    """
    from featstore.runs.evaluation import evaluate_run

    check_names("option", options, DataKeywords.__annotations__)
    manifest = as_manifest(data, DataOptions(**options), cache)
    with displayed(progress) as display:
        evaluation = evaluate_run(_loaded(run), manifest, weights=weights, cache=cache, progress=display)
    _warn(evaluation.notes, evaluation.data)
    return evaluation


def predict(
    run: Run | OnePath,
    images: DataLike,
    *,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[ImageKeywords],
) -> Prediction:
    """Predict the labels of images.

    Features go through the cache, so images that were seen before cost nothing.

    Args:
        run: A run, or its folder.
        images: One or more image files, and folders of them; or a table, arrays or images in memory, as `data` of the
            other verbs.
        weights: File of the base's weights, if it was moved; one for each base of the run.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or that of the run.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: `follow_links`, `image_folder` and `path_column` of `DataOptions`: how `images` is read.

    Returns:
        Label and probabilities of each image that can be read, in the order given, folders sorted.

    Raises:
        DataError: No image can be read.
        RunError: The base or its weights are not those of the run.
        BaseUnavailable: An image is not in the cache, and the weights are not there.
    """
    from featstore.runs.prediction import predict_images

    check_names("option", options, ImageKeywords.__annotations__)
    with displayed(progress) as display:
        return predict_images(
            _loaded(run), images, DataOptions(**options), weights=weights, cache=cache, progress=display
        )


def _refuse_head_parameters(options: Iterable[str]) -> None:
    """Raise UsageError for a keyword that is one of the `parameters` of a head, and say where it belongs."""
    from featstore.heads.parameters import parameter_named
    from featstore.heads.registry import all_parameters

    for word in options:
        if name := parameter_named(word, all_parameters()):
            raise UsageError(f"unknown option {word!r}: is a parameter of heads; give parameters={{{name!r}: ...}}")


def check_base(
    data: DataLike,
    *,
    preprocess: str | Sequence[str] = (),
    labels: OnePath | None = None,
    class_index: OnePath | None = None,
    views: str | Sequence[str] = (),
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[_CheckOptions],
) -> LabelledCheck | UnlabelledCheck:
    """Check the preprocessing of a base: by accuracy with labels, by statistics of any photos without.

    What the base was trained with is always measured too.

    Args:
        data: A folder of photos, or a table, arrays or images in memory. Folders that are named by classes, as
            `n01440764` or `tench`, are labels.
        preprocess: Variants to check. Default: all named ones.
        labels: A CSV path,label with numbers of classes from 0, WordNet ids or names, or `folders`: the names of the
            folders.
        class_index: File with the names of the classes, as Keras' imagenet_class_index.json, a list or lines. Default:
            that file, next to the weights or in ~/.keras/models.
        views: With labels, `one`, `flip`, `five` or `ten`, or several. Default: all four.
        cache: A `Cache`, or the folder of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: Fields of `Recipe`: the base, and how images are read. And those of `DataOptions`.

    Returns:
        The check, with a `finding`, the `best` variant if one is right, and the verdict in words.

    Raises:
        UsageError: An option makes no sense, or the output of the base is not a classifier of these labels.
        DataError: A label is not known, or no image can be read.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.
    """
    from featstore.base_check.job import check_base as check

    check_names("option", options, {**CheckOptions.__annotations__, **DataKeywords.__annotations__})
    reading, base = split_keywords(options)
    if "model" not in base:
        raise UsageError(f"{param('model')} is missing: name a base, as in {param('model', 'MobileNetV2')}")
    with displayed(progress) as display:
        return check(
            as_images(data, reading, cache),
            Recipe(**base),
            [preprocess] if isinstance(preprocess, str) else preprocess,
            labels=labels,
            class_index=class_index,
            views=[views] if isinstance(views, str) else views,
            cache=cache,
            progress=display,
        )


def _loaded(run: Run | OnePath) -> Run:
    from featstore.runs.files import load_run
    from featstore.runs.run import Run

    return run if isinstance(run, Run) else load_run(run)


def _warn(notes: Iterable[str], data: DataSummary) -> None:
    """Warn of what makes figures wrong: all notes but the remarks about the data, which are kept with the result."""
    for note in notes:
        if note not in data.remarks:
            warnings.warn(note, LeakWarning, stacklevel=3)
