"""The training job: extract what is missing, train one head, measure it on every split, and save it as a run."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.leaks import leak_notes
from featstore.datasets.manifest import Manifest
from featstore.errors import UsageError, param
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import FeatureSet
from featstore.extraction.recipe import Recipe
from featstore.runs.files import check_root, new_folder, save_run
from featstore.runs.measuring import measure_splits
from featstore.runs.moves import moved_notes
from featstore.runs.run import Run
from featstore.system.environment import versions
from featstore.system.files import file_digest
from featstore.system.paths import OnePath, one_path
from featstore.system.pinned import pinned
from featstore.training.fit import FitResult, Prepared, fit_head, prepare
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.system.progress import Progress

DEFAULT_RUNS = "runs"


class TrainResult(NamedTuple):
    """A saved run, the data set with its splits, and the features that it was trained on."""

    run: Run
    manifest: Manifest
    features: tuple[FeatureSet, ...]


@pinned()
def train(
    data: OnePath | Manifest,
    recipes: Recipe | Sequence[Recipe],
    head: HeadRecipe | None = None,
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    cache: CacheLike = None,
    runs: OnePath = DEFAULT_RUNS,
    progress: Progress | None = None,
) -> TrainResult:
    """Complete the features of `data`, train `head` on its training split, and save it as a new run below `runs`.

    The features of several `recipes` are put side by side. Missing splits are made from content digests. Raises
    UsageError for an unknown head or parameter, DataError for a class without training images, RunError if the run
    cannot be saved. What can be checked at the start is checked before anything is extracted.
    """
    from featstore.heads.registry import HEADS, make_head

    start = time.perf_counter()
    head = head or HeadRecipe()
    estimator = make_head(head.head, head.parameters)
    root = Path(one_path(runs, "runs"))
    check_root(root)
    recipes = [recipes] if isinstance(recipes, Recipe) else list(recipes)
    head.check(recipes)
    own = HEADS[head.head].base
    recipes = [HEADS[head.head].with_preferred_pool(recipe) for recipe in recipes]
    if own and any(recipe.model != own for recipe in recipes):
        raise UsageError(f"head {head.head}: is for the base {own} only; use {param('model', own)}")
    prepared = prepare(data, recipes, val_fraction, test_fraction, cache, progress, val_as_test=val_as_test)
    extracted = time.perf_counter()
    fitted = fit_head(prepared, prepared.plans, head, estimator, progress.steps(head.head) if progress else None)
    seconds = {
        "features": round(extracted - start, 3),
        "fit": round(fitted.seconds, 3),
        "total": round(time.perf_counter() - start, 3),
    }
    fractions = {"val": val_fraction, "test": test_fraction}
    run = _save(prepared, head, fitted, seconds, fractions, root)
    return TrainResult(run, prepared.manifest, prepared.features)


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
    head: HeadRecipe,
    fitted: FitResult,
    seconds: dict[str, float],
    fractions: dict[str, float],
    runs: Path,
) -> Run:
    """Save the head and its run in a new folder below `runs`."""
    from featstore.heads.registry import HEADS

    manifest, estimator = prepared.manifest, fitted.estimator
    folder = new_folder(runs, _run_name(prepared, head.head))
    head_file = estimator.save(folder)
    run = Run(
        folder=folder,
        head=head.head,
        parameters=_parameters(estimator),
        chosen=estimator.selected(),
        recipes=tuple(plan.recipe.at_absolute_paths() for plan in prepared.plans),
        specs=tuple(part.spec for plan in prepared.plans for part in plan.parts),
        train_on="all" if any(plan.augmented for plan in prepared.plans) else head.train_on or "plain",
        average=head.average or "probabilities",
        classes=manifest.classes,
        metrics=measure_splits(fitted.probabilities, fitted.pictures, manifest.classes, HEADS[head.head].stops_on_val),
        seconds=seconds,
        seed=head.seed,
        data=os.path.abspath(manifest.source),
        fractions=fractions,
        notes=(*leak_notes(manifest), *moved_notes(runs, manifest)),
        versions=versions(),
        head_file=head_file,
        head_sha256=file_digest(folder / head_file),
    )
    save_run(run, manifest.pictures, estimator.curve)
    return run


def _parameters(estimator: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(estimator).items() if not key.startswith("_")}


def _run_name(prepared: Prepared, head: str) -> str:
    data = Path(os.path.abspath(prepared.manifest.source)).stem
    bases = []
    for plan in prepared.plans:
        base, variant_size_key = plan.spec.folder.split("/")
        model = Path(plan.recipe.model).stem if plan.recipe.source().is_file else base
        bases.append(f"{model}-{variant_size_key.rsplit('-', 1)[0]}")
    views = prepared.plans[0].recipe.views.replace(":", "")
    return "-".join([data, "+".join(bases), *([views] if views != "one" else []), head])
