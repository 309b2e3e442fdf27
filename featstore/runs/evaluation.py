"""The evaluation of a run on a data set: metrics with intervals, split by split, and the answers themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featstore.datasets.manifest import SPLITS, Manifest, Skipped
from featstore.datasets.notes import trained_on_notes
from featstore.datasets.sources import as_manifest
from featstore.datasets.summary import DataSummary, summarize
from featstore.errors import DataError, param
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import Extraction
from featstore.images.probe import Probe
from featstore.runs.files import group_digest, load_splits, load_trained_groups
from featstore.runs.image_answers import ImageAnswers
from featstore.runs.measuring import used_for
from featstore.runs.predictor import Predictor
from featstore.runs.probing import OneOrMoreProbes, probe_split, settle_probes
from featstore.runs.run import Run
from featstore.system.notebook import Picture
from featstore.system.paths import OneOrMorePaths, OnePath
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table, listed

if TYPE_CHECKING:
    from featstore.evaluation.confusion import Confusion
    from featstore.evaluation.metrics import Metrics
    from featstore.evaluation.probes import Probing
    from featstore.runs.unmeasured import Unmeasured
    from featstore.system.progress import Progress

NEW = "new"  # the split of images that were not in the data set of the run, if the data set has no splits


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Shown):
    """The metrics of a run on a data set.

    Attributes:
        run: The run.
        metrics: Metrics by split, as in `Run.metrics`.
        skipped: Files that could not be read.
        unlabelled: Number of images without a label, of which nothing can be measured.
        notes: Reasons why the metrics are too good, and all else that is worth knowing about the data.
        data: Classes and counts by split, with the same notes.
        remarks: What a colleague would say of the figures, the most important first.
        confusion: By split, which class was answered for images of which, and the figures of each class.
        answers: The answer to each image; `answers.wrong()` has the wrong ones, the most confident first.
        unmeasured: What was answered to the images without labels; None if there are none.
        probing: What changes of the images cost, on the split that is judged; None without probes.
    """

    run: Run
    metrics: dict[str, Metrics]
    skipped: tuple[Skipped, ...]
    unlabelled: int
    notes: tuple[str, ...]
    data: DataSummary
    remarks: tuple[str, ...]
    confusion: dict[str, Confusion]
    answers: ImageAnswers
    unmeasured: Unmeasured | None = None
    probing: Probing | None = None

    def parts(self) -> Iterator[str | Table]:
        """Yield the metrics and the remarks, the probes, and what was answered to images without labels."""
        from featstore.evaluation.remarks import remark_line
        from featstore.evaluation.shown import metrics_parts

        yield from metrics_parts(self.metrics, self.remarks) if self.metrics else map(remark_line, self.remarks)
        if self.probing:
            yield from self.probing.parts()
        if self.unmeasured:
            yield from self.unmeasured.parts()

    def plots(self) -> Iterator[Picture]:
        """Yield the reliability on the split that is judged."""
        from featstore.evaluation.remarks import judged_split
        from featstore.plots.notebook import on_screen
        from featstore.plots.reliability import draw_reliability
        from featstore.runs.pictures import RELIABILITY
        from featstore.runs.titles import title_of

        split = judged_split(self.metrics)
        if split and (reliability := self.metrics[split].reliability):
            yield on_screen(draw_reliability(reliability, title_of(self.run), split), RELIABILITY)


@pinned()
def evaluate_run(
    run: Run,
    data: OnePath | Manifest,
    *,
    probes: OneOrMoreProbes = (),
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure `run` on the labelled images of `data`, and answer the others; see `featstore.evaluate`.

    An image without a split gets the one that it had when the run was trained, recognised by its content; any other is
    in the split `new`. Raises DataError for a label that is not a class of the run, RunError for other features.
    """
    from featstore.evaluation.confusion import count_confusion
    from featstore.evaluation.metrics import columns_of, compute_metrics
    from featstore.evaluation.remarks import judged_split, remarks_on
    from featstore.features.arrays import labels_of, units_of
    from featstore.runs.unmeasured import sum_up

    changes = settle_probes(probes)
    predictor = Predictor.of(run, weights, cache, progress)
    given = as_manifest(data)
    _check_labels(run, given, changes)
    summarize(given).tell(progress)
    splits = load_splits(run)
    extraction = predictor.complete(given)
    manifest = extraction.manifest
    answers = _answers(predictor, extraction, splits)
    metrics, confusion = {}, {}
    places_of = _by_split(answers)
    for split, places in places_of.items():
        pictures = [manifest.pictures[place] for place in places]
        labels, units = labels_of(pictures), units_of(pictures)
        use = used_for(pictures, splits, run.use_of_val)
        metrics[split] = compute_metrics(answers.probabilities[places], labels, run.classes, units, use)
        confusion[split] = count_confusion(
            answers.probabilities[places], columns_of(labels, run.classes), run.classes, units
        )
    if given.classes and not metrics:
        path, reason = manifest.skipped[-1]
        raise DataError(f"{manifest.source}: no labelled image could be read; the last: {path}: {reason}")
    probing = None
    if changes:
        split = judged_split(metrics) or next(iter(metrics))
        probing = probe_split(
            predictor, changes, manifest, split, places_of[split], metrics[split], answers.probabilities
        )
    unlabelled = [place for place, label in enumerate(answers.labels) if label is None]
    # What the run was trained on counts here, not what a training split of these data holds.
    leaks = (*trained_on_notes(splits, manifest), *_group_notes(run, splits, manifest))
    summary = replace(summarize(manifest), leaks=leaks)
    return Evaluation(
        run=run,
        metrics=metrics,
        skipped=manifest.skipped,
        unlabelled=len(unlabelled),
        notes=summary.notes,
        data=summary,
        remarks=(*_on_labels(run, manifest), *(map(str, remarks_on(metrics)) if metrics else ())),
        confusion=confusion,
        answers=answers,
        unmeasured=sum_up(answers.of(unlabelled)) if unlabelled else None,
        probing=probing,
    )


def _check_labels(run: Run, manifest: Manifest, changes: Sequence[Probe]) -> None:
    """Raise DataError for a label that is not a class of `run`, and for probes of images without labels."""
    unknown = [name for name in manifest.classes if name not in run.classes]
    if unknown:
        found = f"the label {unknown[0]!r}"
        if len(unknown) > 1:
            found = f"the labels {listed([repr(name) for name in unknown])}"
        raise DataError(f"{manifest.source}: has {found}; expected those of the run: {', '.join(run.classes)}")
    if changes and not manifest.classes:
        raise DataError(
            f"{manifest.source}: has no labels, so what {param('probe', str(changes[0]))} costs cannot be measured; "
            f"leave {param('probe')} out, or give labelled images"
        )


def _answers(predictor: Predictor, extraction: Extraction, splits: Mapping[str, str]) -> ImageAnswers:
    """Return the answers to the images of `extraction`; `splits` are those of the run, by content digest."""
    import numpy as np

    pictures, classes = extraction.manifest.pictures, predictor.run.classes
    split_of = [p.split or splits.get(p.digest, NEW) for p in pictures]
    probabilities = np.empty((len(pictures), len(classes)))
    together: dict[tuple[str, bool], list[int]] = {}
    for place, picture in enumerate(pictures):
        together.setdefault((split_of[place], picture.label is None), []).append(place)
    for places in together.values():
        probabilities[places] = predictor.predict([pictures[place] for place in places], extraction)
    return ImageAnswers(
        classes=classes,
        paths=tuple(p.path for p in pictures),
        splits=tuple(split_of),
        labels=tuple(p.label for p in pictures),
        probabilities=probabilities,
    )


def _on_labels(run: Run, manifest: Manifest) -> tuple[str, ...]:
    """Return a remark on the classes of the run that no image of `manifest` has, or on labels that were not found."""
    if not manifest.classes:
        return (f"no labels were found; {manifest.hint}",) if manifest.hint else ()
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


def _by_split(answers: ImageAnswers) -> dict[str, list[int]]:
    """Return the places of the labelled images by split."""
    found: dict[str, list[int]] = {}
    for place, (split, label) in enumerate(zip(answers.splits, answers.labels, strict=True)):
        if label is not None:
            found.setdefault(split, []).append(place)
    order = (*SPLITS, NEW)
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))
