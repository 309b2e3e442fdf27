"""Training one head from the cache, and measuring it on every split."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.errors import DataError
from featstore.heads.base import OnStep
from featstore.images.manifest import SPLITS, Manifest
from featstore.images.splits import complete_splits, shared_between_splits
from featstore.recipe import Recipe, file_digest
from featstore.runs import Run, new_folder, save_run
from featstore.versions import versions
from featstore.workflow import FeatureSet, cache_folder, extract_features, load_features

if TYPE_CHECKING:
    from featstore.extraction import Progress

DEFAULT_RUNS = "runs"


class Trained(NamedTuple):
    """A saved run, the data set with its splits, the features it was trained on, and what the user should know."""

    run: Run
    manifest: Manifest
    features: FeatureSet
    notes: tuple[str, ...]


def train(
    data: str | os.PathLike[str] | Manifest,
    recipe: Recipe,
    head: str = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    cache: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] = DEFAULT_RUNS,
    progress: Progress | None = None,
    on_step: OnStep | None = None,
) -> Trained:
    """Complete the features of `data`, train `head` on its training split, and save it as a new run below `runs`.

    Splits that the data set does not bring are made from content digests. Raises DataError where a class has nothing to
    be learnt from, UsageError for a head or parameter that does not exist.
    """
    from featstore.evaluation.metrics import evaluate
    from featstore.heads.table import make_head

    start = time.perf_counter()
    estimator = make_head(head, parameters)
    extraction = extract_features(data, [recipe], cache, progress)
    features = extraction.features[0]
    manifest = complete_splits(extraction.manifest, val_fraction, test_fraction)
    _check_classes(manifest)
    labelled = manifest.with_pictures([p for p in manifest.pictures if p.label is not None])
    folder = cache_folder(cache)
    splits = {s: load_features(labelled, features.spec, split=s, cache=folder) for s in SPLITS if labelled.of_split(s)}
    extracted = time.perf_counter()
    validation = (splits["val"].X, splits["val"].y) if "val" in splits else None
    estimator.fit(splits["train"].X, splits["train"].y, validation, seed, on_step)
    fitted = time.perf_counter()
    metrics = {s: evaluate(estimator.predict_proba(f.X), f.y, manifest.classes) for s, f in splits.items()}
    run_folder = new_folder(Path(runs), _run_name(manifest, recipe, features, head))
    head_file = estimator.save(run_folder)
    run = Run(
        folder=run_folder,
        head=head,
        parameters=_parameters(estimator),
        chosen=estimator.chosen(),
        recipe=recipe.at_absolute_paths(),
        spec=features.spec,
        classes=manifest.classes,
        metrics=metrics,
        seconds={
            "features": round(extracted - start, 3),
            "fit": round(fitted - extracted, 3),
            "total": round(time.perf_counter() - start, 3),
        },
        seed=seed,
        data=os.path.abspath(manifest.source),
        versions=versions(),
        head_file=head_file,
        head_sha256=file_digest(run_folder / head_file),
    )
    save_run(run, estimator.curve)
    return Trained(run, manifest, features, _notes(manifest))


def train_head(
    data: str | os.PathLike[str] | Manifest,
    head: str = "logistic",
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] = DEFAULT_RUNS,
    **options: Any,
) -> Run:
    """Train `head` on the features that `options`, the fields of `Recipe`, name; the Python face of `train`."""
    return train(data, Recipe(**options), head, parameters, seed=seed, cache=cache, runs=runs).run


def _check_classes(manifest: Manifest) -> None:
    trained = {p.label for p in manifest.of_split("train")}
    empty = [name for name in manifest.classes if name not in trained]
    if empty:
        raise DataError(f"{manifest.source}: no training image of class {empty[0]!r} could be used; add some")


def _parameters(estimator: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(estimator).items() if not key.startswith("_")}


def _run_name(manifest: Manifest, recipe: Recipe, features: FeatureSet, head: str) -> str:
    data = Path(os.path.abspath(manifest.source)).stem
    base, variant_size_key = features.spec.folder.split("/")
    model = Path(recipe.model).stem if recipe.source().is_file else base
    return f"{data}-{model}-{variant_size_key.rsplit('-', 1)[0]}-{head}"


def _notes(manifest: Manifest) -> tuple[str, ...]:
    shared = shared_between_splits(manifest)
    if not shared:
        return ()
    trained, held_out = shared[0]
    return (
        f"{len(shared)} held-out images are byte for byte in the training split too, as {held_out.path} and "
        f"{trained.path}: the accuracy is too high by their share",
    )
