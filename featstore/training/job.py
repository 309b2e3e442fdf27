"""The training job: extract what is missing, train one head, measure it on every split, and save it as a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featstore.copies.leaks import summarize_with_copies
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import Source
from featstore.datasets.summary import DataSummary
from featstore.errors import UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import FeatureSet
from featstore.extraction.recipe import Recipe
from featstore.runs.files import save_run
from featstore.runs.folders import check_name, check_root, publish_run
from featstore.runs.measuring import measure_splits, use_of_validation
from featstore.runs.moves import moved_notes
from featstore.runs.run import Run
from featstore.runs.tensorboard import check_logs, log_run
from featstore.system.environment import utc_now, versions
from featstore.system.files import file_digest
from featstore.system.paths import OnePath, one_path
from featstore.system.pinned import pinned
from featstore.training.calibration import scores_for
from featstore.training.endings import saved_if_interrupted
from featstore.training.fit import FitResult, HeadFit, Prepared, prepare, remark_on_training
from featstore.training.fold_advice import advise_folds
from featstore.training.head_recipe import HeadRecipe
from featstore.training.repeats import cross_validate
from featstore.training.rows import tell_of_memory

if TYPE_CHECKING:
    from featstore.evaluation.repeats import FoldEstimate
    from featstore.system.progress import Progress

DEFAULT_RUNS = "runs"


class TrainResult(NamedTuple):
    """A saved run, the data set with its splits and what is told about it, and the features that it was trained on."""

    run: Run
    manifest: Manifest
    data: DataSummary
    features: tuple[FeatureSet, ...]


@pinned()
def train(
    data: OnePath | Manifest | Source,
    recipes: Recipe | Sequence[Recipe],
    head: HeadRecipe | None = None,
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    folds: int | None = None,
    seeds: int = 1,
    cache: CacheLike = None,
    runs: OnePath = DEFAULT_RUNS,
    name: str | None = None,
    tensorboard: OnePath | None = None,
    command: str | None = None,
    chosen_by: str | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Complete the features of `data`, train `head` on its training split, and save it as a new run below `runs`.

    The features of several `recipes` are put side by side. Missing splits are made from content digests. Raises
    UsageError for an unknown head or parameter, DataError for a class without training images, RunError if the run
    cannot be saved. What can be checked at the start is checked before anything is extracted. If the training is
    interrupted, its best epoch is saved, as a run that says so.

    folds, seeds: the head is also measured by cross-validation, once for each seed, and the run says what was found. It
    is trained on the splits in any case.

    name: that of the run's folder. tensorboard: folder of logs that TensorBoard shows. command: the command line that
    the run records. chosen_by: how the head was chosen by images of the training and validation splits, which the run
    records, and has as its first remark.
    """
    from featstore.heads.registry import check_saveable, entry_of, make_head

    start = time.perf_counter()
    _check_repeats(folds, seeds)
    head = head or HeadRecipe()
    estimator = make_head(head.head, head.parameters)
    check_saveable(head.head, head.parameters)
    root = Path(one_path(runs, "runs"))
    check_root(root)
    check_name(root, name)
    logs = check_logs(tensorboard)
    recipes = [recipes] if isinstance(recipes, Recipe) else list(recipes)
    head.check(recipes)
    own = entry_of(head.head).base
    recipes = [entry_of(head.head).with_preferred_pool(recipe) for recipe in recipes]
    if own and any(recipe.model != own for recipe in recipes):
        raise UsageError(f"head {head.head}: is for the base {own} only; use {param('model', own)}")
    tell_assumptions(recipes, progress)
    prepared = prepare(
        data,
        recipes,
        val_fraction,
        test_fraction,
        cache,
        progress,
        val_as_test=val_as_test,
        folds_too=folds is not None,
    )
    summary = summarize_with_copies(prepared.manifest, prepared.plans, prepared.cache, progress)
    summary.tell(progress)
    tell_of_memory(prepared.manifest, prepared.plans, head, prepared.cache, progress)
    extracted = time.perf_counter()
    estimated = cross_validate(prepared, head, folds, seeds, val_fraction, progress) if folds else None
    fit = HeadFit(prepared, prepared.plans, head, estimator)
    interrupted = True

    def save() -> Run:
        fitted = fit.result()
        seconds = {"features": extracted - start, "fit": fitted.seconds, "total": time.perf_counter() - start}
        saved = _save(
            prepared,
            summary,
            head,
            fitted,
            root,
            name,
            seconds={stage: round(value, 3) for stage, value in seconds.items()},
            fractions={"val": val_fraction, "test": test_fraction},
            command=command,
            chosen_by=chosen_by,
            interrupted=interrupted,
            estimated=estimated,
        )
        if interrupted:
            log_run(saved, logs)
        return saved

    with saved_if_interrupted(lambda: estimator.is_trained, save, progress):
        fit.run(progress.steps(head.head) if progress else None)
        interrupted = False
        run = save()
    log_run(run, logs)
    return TrainResult(run, prepared.manifest, summary, prepared.features)


def _check_repeats(folds: int | None, seeds: int) -> None:
    """Raise UsageError for numbers of folds and seeds that make no cross-validation."""
    if folds is not None and folds < 2:
        raise UsageError(f"{param('folds', folds)}: expected 2 or more")
    if seeds < 1:
        raise UsageError(f"{param('seeds', seeds)}: expected 1 or more")
    if seeds > 1 and folds is None:
        raise UsageError(
            f"{param('seeds', seeds)}: repeats a cross-validation; give {param('folds', 5)} too, or measure several "
            "seeds with compare"
        )


def check_side_by_side(recipes: Sequence[Recipe], concat: bool) -> None:
    """Raise UsageError unless there is one recipe, or several whose features are to be put side by side."""
    if concat and len(recipes) == 1:
        raise UsageError(
            f"{param('concat', True)}: puts the features of several bases side by side; give more than one "
            f"{param('model')}"
        )
    if len(recipes) > 1 and not concat:
        raise UsageError(
            f"{len(recipes)} sets of features, but a head takes one: give {param('concat', True)} to put them side by "
            "side, or measure them with compare"
        )


def _save(
    prepared: Prepared,
    summary: DataSummary,
    head: HeadRecipe,
    fitted: FitResult,
    runs: Path,
    name: str | None,
    *,
    seconds: dict[str, float],
    fractions: dict[str, float],
    command: str | None,
    chosen_by: str | None,
    interrupted: bool,
    estimated: FoldEstimate | None,
) -> Run:
    """Save the head and its run below `runs`."""
    from featstore.evaluation.remarks import remarks_on
    from featstore.heads.registry import stops_on_val

    manifest, estimator = prepared.manifest, fitted.estimator
    stops = stops_on_val(head.head, head.parameters)
    use_of_val = use_of_validation(
        chooses=chosen_by is not None, stops=stops, calibrates=fitted.temperature is not None
    )
    metrics = measure_splits(fitted.probabilities, fitted.pictures, manifest.classes, use_of_val)
    remarks = remarks_on(metrics, remark_on_training(estimator))
    if estimated is None and chosen_by is None:  # what chose the head has measured it in folds
        remarks += advise_folds(metrics, prepared.given, command)

    def build(folder: Path) -> Run:
        head_file = estimator.save(folder)
        run = Run(
            folder=folder,
            head=head.head,
            parameters=estimator.settings(),
            chosen=estimator.selected(),
            recipes=tuple(plan.recipe.at_absolute_paths() for plan in prepared.plans),
            specs=tuple(part.spec for plan in prepared.plans for part in plan.parts),
            train_on="all" if any(plan.augmented for plan in prepared.plans) else head.train_on or "plain",
            average=head.average or "probabilities",
            classes=manifest.classes,
            metrics=metrics,
            seconds=seconds,
            seed=head.seed,
            data=manifest.place(),
            cache=prepared.cache.folder.absolute(),
            date=utc_now(),
            command=command,
            chosen_by=chosen_by,
            interrupted=interrupted,
            temperature=fitted.temperature,
            conformal=scores_for(fitted.probabilities, fitted.pictures, manifest.classes),
            fractions=fractions,
            notes=(*summary.leaks, *moved_notes(runs, manifest), *summary.remarks),
            folds=estimated,
            remarks=(*([chosen_by] if chosen_by else []), *map(str, remarks)),
            versions=versions(),
            head_file=head_file,
            head_sha256=file_digest(folder / head_file),
        )
        save_run(run, manifest.pictures, estimator.curve)
        return run

    return publish_run(runs, name, build)
