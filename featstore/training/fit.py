"""The preparation of a data set, and the fit of one head to its cached features."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import SPLITS, Manifest, Picture
from featstore.datasets.sources import Source, as_manifest
from featstore.datasets.splits import check_splittable, complete_splits, pool_for_folds
from featstore.datasets.summary import summarize
from featstore.errors import DataError, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import FeatureSet, extract_augmented, extract_features
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.heads.interface import Head
from featstore.system.paths import OnePath
from featstore.system.progress import OnStep
from featstore.training.calibration import temperature_for
from featstore.training.head_recipe import HeadRecipe
from featstore.training.rows import HeadRows, InMemory, OnDisk, are_on_disk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.remarks import Remark
    from featstore.system.progress import Progress

VAL_FRACTION = TEST_FRACTION = 0.2  # where the user says nothing


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready for training: its features are in `cache`, and every labelled image has a split.

    given: the images with the splits that the data set itself has. plans: the rows of each recipe.
    """

    given: Manifest
    manifest: Manifest
    features: tuple[FeatureSet, ...]
    plans: tuple[Plan, ...]
    cache: Cache


class FitResult(NamedTuple):
    """A trained head.

    probabilities, pictures: (n, classes) and the n labelled images, by split. seconds: those of the fit. temperature:
        the one that the probabilities have, as the validation split chose it; None if it chose none.
    """

    estimator: Head
    probabilities: dict[str, NDArray[np.float64]]
    pictures: dict[str, list[Picture]]
    seconds: float
    temperature: float | None = None


def prepare(
    data: OnePath | Manifest | Source,
    recipes: Sequence[Recipe],
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    cache: CacheLike = None,
    progress: Progress | None = None,
    *,
    val_as_test: bool = False,
    in_folds: bool = False,
    folds_too: bool = False,
    are_asked_for: bool = True,
) -> Prepared:
    """Complete the features of all `recipes` for `data`, including augmented versions of its training images.

    in_folds: whether the images are measured on by cross-validation, which makes its own test splits.
    folds_too: whether there is a cross-validation as well; `val_fraction` is then that of its heads, too.
    are_asked_for: whether the fractions are the user's, so that one without effect is refused, and not those of a run.

    Raises DataError if a class has no image to train on; labels and splits are checked before anything is extracted.
    """
    cache = Cache.at(cache)
    manifest = as_manifest(data)
    check_splittable(manifest, val_fraction, test_fraction, val_as_test)
    if are_asked_for:
        idle = None if val_as_test or in_folds or folds_too else val_fraction
        refuse_idle_fractions(manifest, idle, test_fraction, in_folds)
    summarize(pool_for_folds(manifest) if in_folds else manifest).tell(progress)
    extraction = extract_features(manifest, recipes, cache, progress)
    unread = [name for name in manifest.classes if name not in extraction.manifest.classes]
    if unread:
        path, reason = next((p, r) for p, r in extraction.manifest.skipped if p not in dict(manifest.skipped))
        raise DataError(f"{manifest.source}: no image of class {unread[0]!r} could be read ({path}: {reason})")
    manifest = complete_splits(extraction.manifest, val_fraction, test_fraction, val_as_test)
    _check_classes(manifest)
    augmented = extract_augmented(manifest, extraction.plans, cache, progress)
    return Prepared(extraction.manifest, manifest, (*extraction.features, *augmented), extraction.plans, cache)


def refuse_idle_fractions(manifest: Manifest, val_fraction: float | None, test_fraction: float, in_folds: bool) -> None:
    """Raise UsageError for a share that the user asks for and that nothing would be taken by.

    val_fraction: None if something is taken by it in any case.
    """
    given = {p.split for p in manifest.pictures if p.label is not None}
    if val_fraction not in (None, VAL_FRACTION) and "val" in given:
        raise UsageError(
            f"{param('val_fraction', val_fraction)}: has no effect, since {manifest.source} has a validation split; "
            "leave it out"
        )
    if test_fraction != TEST_FRACTION and (in_folds or given != {None}):
        reason = "each fold is a test split" if in_folds else f"{manifest.source} has splits of its own"
        raise UsageError(f"{param('test_fraction', test_fraction)}: has no effect, since {reason}; leave it out")


class HeadFit:
    """The fit of one head to cached features. If it is interrupted, `result` is that of the best head so far.

    The features of several `plans` are put side by side. For early stopping the validation split is used in its plain
    view. Raises DataError if a class has no image to train on.
    """

    def __init__(self, prepared: Prepared, plans: Sequence[Plan], recipe: HeadRecipe, estimator: Head) -> None:
        manifest = prepared.manifest
        _check_classes(manifest)  # the columns of the probabilities are the classes that the head has seen
        pictures = {split: [p for p in manifest.of_split(split) if p.label is not None] for split in SPLITS}
        self.estimator, self._recipe, self._classes = estimator, recipe, manifest.classes
        estimator.name_classes(manifest.classes)
        self._pictures = {split: some for split, some in pictures.items() if some}
        where = OnDisk if are_on_disk(manifest, plans, recipe, prepared.cache) else InMemory
        self._rows: HeadRows = where(self._pictures, manifest.classes, plans, recipe, prepared.cache)
        self._seconds = 0.0

    @property
    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """The rows (n, ...) that the head is trained on, and their classes (n,)."""
        return self._rows.training()[:2]

    def run(self, on_step: OnStep | None = None) -> None:
        """Train the head on the training split."""
        X, y, groups = self._rows.training()
        start = time.perf_counter()
        try:
            self.estimator.fit(X, y, self._rows.validation(), self._recipe.seed, on_step, groups)
        finally:
            self._seconds = time.perf_counter() - start

    def result(self, predict_on: Sequence[str] = SPLITS) -> FitResult:
        """Return the head as it is now, with its predictions of the splits `predict_on`."""
        from featstore.evaluation.temperature import scale

        average, predict = self._recipe.average or "probabilities", self.estimator.predict_proba
        wanted = {*predict_on, "val"} if self._recipe.calibrate else {*predict_on}
        found = {split: self._rows.predict(split, predict, average) for split in self._pictures if split in wanted}
        temperature = temperature_for(found, self._pictures, self._classes) if self._recipe.calibrate else None
        probabilities = {split: scale(p, temperature) for split, p in found.items() if split in predict_on}
        return FitResult(self.estimator, probabilities, self._pictures, self._seconds, temperature)


def fit_head(
    prepared: Prepared,
    plans: Sequence[Plan],
    recipe: HeadRecipe,
    estimator: Head,
    predict_on: Sequence[str] = SPLITS,
) -> FitResult:
    """Train `estimator` on the training split and predict the splits `predict_on`; see `HeadFit`."""
    fit = HeadFit(prepared, plans, recipe, estimator)
    fit.run()
    return fit.result(predict_on)


def remark_on_training(head: Head) -> Remark | None:
    """Return a remark if the training of `head` was ended too early, or had nothing to tell when to end."""
    from featstore.evaluation.remarks import Course, Remark, remark_on_course
    from featstore.heads.keras_head import KerasHead
    from featstore.heads.logistic import LogisticHead

    if isinstance(head, KerasHead):
        chosen, series = head.selected(), head.curve.series
        if "val_loss" not in series:
            return remark_on_course(Course(chosen["epochs"], None, *head.limits))
        losses = series["loss"], series["val_loss"]
        return remark_on_course(Course(chosen["epochs"], chosen["best_epoch"], *head.limits, *losses))
    if isinstance(head, LogisticHead) and not head.converged:
        return Remark(f"max_iter={head.max_iter} ended the fit early", "the solver had not converged; try more")
    return None


def _check_classes(manifest: Manifest) -> None:
    """Raise DataError for a class without training images."""
    trained = {p.label for p in manifest.of_split("train")}
    empty = [name for name in manifest.classes if name not in trained]
    if empty:
        raise DataError(f"{manifest.source}: no training image of class {empty[0]!r} could be used; add some")
