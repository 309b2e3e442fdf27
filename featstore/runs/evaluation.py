"""The evaluation of a run on a data set: metrics with intervals, split by split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featstore.datasets.leaks import trained_on_notes
from featstore.datasets.manifest import SPLITS, Manifest, Picture, Skipped
from featstore.datasets.sources import as_manifest
from featstore.errors import DataError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.runs.files import group_digest, load_splits, load_trained_groups
from featstore.runs.measuring import used_for
from featstore.runs.recipes import recipes_of
from featstore.runs.run import Run
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.evaluation.metrics import Metrics
    from featstore.system.progress import Progress

NEW = "new"  # the split of images that were not in the data set of the run, if the data set has no splits


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Shown):
    """The metrics of a run on a data set.

    Attributes:
        run: The run.
        metrics: Metrics by split, as in `Run.metrics`.
        skipped: Files that could not be read.
        unlabelled: Number of images without a label, which are left out.
        notes: Reasons why the metrics are too good.
    """

    run: Run
    metrics: dict[str, Metrics]
    skipped: tuple[Skipped, ...]
    unlabelled: int
    notes: tuple[str, ...]

    def parts(self) -> Iterator[Table]:
        """Yield the metrics."""
        from featstore.evaluation.metrics import metrics_table

        yield metrics_table(self.metrics)


@pinned()
def evaluate_run(
    run: Run,
    data: OnePath | Manifest,
    *,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure `run` on the labelled images of `data`; see `featstore.evaluate`.

    An image without a split gets the one that it had when the run was trained, recognised by its content; any other is
    in the split `new`. Raises DataError for a label that is not a class of the run, RunError for other features.
    """
    from featstore.evaluation.metrics import compute_metrics
    from featstore.features.arrays import labels_of, units_of
    from featstore.features.views import load_in_blocks

    cache = Cache.at(cache)
    recipes = recipes_of(run, weights, cache)
    manifest = as_manifest(data)
    unknown = [name for name in manifest.classes if name not in run.classes]
    if unknown or not manifest.classes:
        found = f"the label {unknown[0]!r}" if unknown else "no labels"
        raise DataError(f"{manifest.source}: has {found}; expected those of the run: {', '.join(run.classes)}")
    splits = load_splits(run)
    extraction = extract_features(manifest, recipes, cache, progress)
    metrics = {}
    for split, pictures in _by_split(splits, extraction.manifest).items():
        probabilities = run.predict_blocks(load_in_blocks(pictures, extraction.plans, cache))
        metrics[split] = compute_metrics(
            probabilities,
            labels_of(pictures),
            run.classes,
            units_of(pictures),
            used_for(pictures, splits, run.stops_on_val),
        )
    if not metrics:
        path, reason = extraction.manifest.skipped[-1]
        raise DataError(f"{manifest.source}: no labelled image could be read; the last: {path}: {reason}")
    unlabelled = sum(p.label is None for p in extraction.manifest.pictures)
    notes = (*trained_on_notes(splits, extraction.manifest), *_group_notes(run, splits, extraction.manifest))
    return Evaluation(run=run, metrics=metrics, skipped=extraction.manifest.skipped, unlabelled=unlabelled, notes=notes)


def _group_notes(run: Run, splits: Mapping[str, str], manifest: Manifest) -> tuple[str, ...]:
    """Return a line if images that are new to the run are of groups that it was trained on, else nothing."""
    trained = load_trained_groups(run)
    new = [p for p in manifest.pictures if p.label is not None and p.digest not in splits]
    known = [p for p in new if group_digest(p) in trained]
    if not known:
        return ()
    return (
        f"{len(known)} of the {len(new)} images that are new to the run are of groups that it was trained on, such as "
        f"{known[0].path}: their accuracy is too high if the images of a group are alike",
    )


def _by_split(splits: Mapping[str, str], manifest: Manifest) -> dict[str, list[Picture]]:
    """Return the labelled images by split; `splits` are those of the run, by content digest."""
    found: dict[str, list[Picture]] = {}
    for picture in manifest.pictures:
        if picture.label is not None:
            split = picture.split or splits.get(picture.digest, NEW)
            found.setdefault(split, []).append(picture)
    order = (*SPLITS, NEW)
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))
