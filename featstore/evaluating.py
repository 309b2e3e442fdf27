"""How good a run is on a data set: metrics with intervals, split by split."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.errors import DataError
from featstore.images.manifest import Manifest, Picture, Skipped, scan
from featstore.images.splits import complete_splits
from featstore.prediction import recipes_of
from featstore.runs import Run
from featstore.workflow import cache_folder, extract_features

if TYPE_CHECKING:
    from featstore.extraction import Progress

ALL = "all"  # of a data set without splits that is not the one trained on


class Evaluation(NamedTuple):
    """Metrics by split, as in `Run.metrics`; `skipped` files could not be read, `unlabelled` images have no label."""

    run: Run
    metrics: dict[str, dict[str, Any]]
    skipped: tuple[Skipped, ...]
    unlabelled: int


def evaluate(
    run: Run,
    data: str | os.PathLike[str] | Manifest,
    *,
    weights: str | list[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Ask `run` about the labelled images of `data`; features go through the cache.

    Splits that the data set brings are kept apart. The data that the run was trained on is divided as then; other data
    without splits is one, `all`. Raises DataError for a label that the run does not know, RunError for other features.
    """
    from featstore.evaluation.metrics import evaluate as measure
    from featstore.feed import load_in_blocks

    folder = cache_folder(cache)
    recipes = recipes_of(run, weights, folder)
    manifest = data if isinstance(data, Manifest) else scan(data)
    strange = [name for name in manifest.classes if name not in run.classes]
    if strange or not manifest.classes:
        found = f"the label {strange[0]!r}" if strange else "no labels"
        raise DataError(f"{manifest.source}: has {found}; expected those of the run: {', '.join(run.classes)}")
    extraction = extract_features(manifest, recipes, folder, progress)
    metrics = {}
    for split, pictures in _by_split(run, extraction.manifest).items():
        probabilities = run.answer(load_in_blocks(pictures, extraction.plans, folder))
        metrics[split] = measure(probabilities, [p.label or "" for p in pictures], run.classes)
    if not metrics:
        path, reason = extraction.manifest.skipped[-1]
        raise DataError(f"{manifest.source}: no labelled image could be read; the last: {path}: {reason}")
    unlabelled = sum(p.label is None for p in extraction.manifest.pictures)
    return Evaluation(run, metrics, extraction.manifest.skipped, unlabelled)


def _by_split(run: Run, manifest: Manifest) -> dict[str, list[Picture]]:
    if os.path.abspath(manifest.source) == run.data:
        manifest = complete_splits(manifest, run.fractions["val"], run.fractions["test"])
    found: dict[str, list[Picture]] = {}
    for picture in manifest.pictures:
        if picture.label is not None:
            found.setdefault(picture.split or ALL, []).append(picture)
    order = ("train", "val", "test", ALL)
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))
