"""The evaluation of a run on a data set: metrics with intervals, split by split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featstore.datasets.manifest import SPLITS, Manifest, Picture, Skipped
from featstore.datasets.notes import trained_on_notes
from featstore.datasets.sources import as_manifest
from featstore.datasets.summary import DataSummary, summarize
from featstore.errors import DataError
from featstore.extraction.cache import CacheLike
from featstore.runs.files import group_digest, load_splits, load_trained_groups
from featstore.runs.measuring import used_for
from featstore.runs.recipes import cache_of, complete_rows, plans_of
from featstore.runs.run import Run
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table, listed

if TYPE_CHECKING:
    from featstore.evaluation.confusion import Confusion
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
        notes: Reasons why the metrics are too good, and all else that is worth knowing about the data.
        data: Classes and counts by split, with the same notes.
        remarks: What a colleague would say of the figures, the most important first.
        confusion: By split, which class was answered for images of which, and the figures of each class.
    """

    run: Run
    metrics: dict[str, Metrics]
    skipped: tuple[Skipped, ...]
    unlabelled: int
    notes: tuple[str, ...]
    data: DataSummary
    remarks: tuple[str, ...]
    confusion: dict[str, Confusion]

    def parts(self) -> Iterator[str | Table]:
        """Yield the metrics and the remarks."""
        from featstore.evaluation.metrics import metrics_table
        from featstore.evaluation.remarks import remark_line

        yield metrics_table(self.metrics)
        yield from map(remark_line, self.remarks)


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
    from featstore.evaluation.confusion import count_confusion
    from featstore.evaluation.metrics import columns_of, compute_metrics
    from featstore.evaluation.remarks import remarks_on
    from featstore.features.arrays import labels_of, units_of
    from featstore.features.views import load_in_blocks

    cache = cache_of(run, cache, progress)
    plans = plans_of(run, weights, cache)
    manifest = as_manifest(data)
    unknown = [name for name in manifest.classes if name not in run.classes]
    if unknown or not manifest.classes:
        found = f"the label {unknown[0]!r}" if unknown else "no labels"
        if len(unknown) > 1:
            found = f"the labels {listed([repr(name) for name in unknown])}"
        hint = f"; {manifest.hint}" if manifest.hint else ""
        raise DataError(f"{manifest.source}: has {found}; expected those of the run: {', '.join(run.classes)}{hint}")
    summarize(manifest).tell(progress)
    splits = load_splits(run)
    extraction = complete_rows(run, manifest, plans, weights, cache, progress)
    metrics, confusion = {}, {}
    for split, pictures in _by_split(splits, extraction.manifest).items():
        probabilities = run.predict_blocks(load_in_blocks(pictures, extraction.plans, cache))
        labels, units = labels_of(pictures), units_of(pictures)
        use = used_for(pictures, splits, run.use_of_val)
        metrics[split] = compute_metrics(probabilities, labels, run.classes, units, use)
        confusion[split] = count_confusion(probabilities, columns_of(labels, run.classes), run.classes, units)
    if not metrics:
        path, reason = extraction.manifest.skipped[-1]
        raise DataError(f"{manifest.source}: no labelled image could be read; the last: {path}: {reason}")
    unlabelled = sum(p.label is None for p in extraction.manifest.pictures)
    # What the run was trained on counts here, not what a training split of these data holds.
    leaks = (*trained_on_notes(splits, extraction.manifest), *_group_notes(run, splits, extraction.manifest))
    summary = replace(summarize(extraction.manifest), leaks=leaks)
    return Evaluation(
        run=run,
        metrics=metrics,
        skipped=extraction.manifest.skipped,
        unlabelled=unlabelled,
        notes=summary.notes,
        data=summary,
        remarks=(*_on_missing_classes(run, extraction.manifest), *map(str, remarks_on(metrics))),
        confusion=confusion,
    )


def _on_missing_classes(run: Run, manifest: Manifest) -> tuple[str, ...]:
    """Return a remark on the classes of the run that no image of `manifest` has, else nothing."""
    missing = [f"`{name}`" for name in run.classes if name not in manifest.classes]
    return (f"no image of {listed(missing)}: nothing is measured of it",) if missing else ()


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
