"""Runs side by side: measured again on the same held-out images, with paired differences, and what differs in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import DataLike, as_manifest
from featstore.errors import DataError, RunError, UnreadableImage, UsageError, param
from featstore.extraction.cache import CacheLike
from featstore.images.files import read_file
from featstore.images.identity import content_digest
from featstore.objects.places import kind_of
from featstore.runs.files import load_splits
from featstore.runs.predictor import Predictor
from featstore.runs.recipes import cache_of
from featstore.runs.run import Run
from featstore.runs.settings import differing, settings_of
from featstore.system.figures import figure, interval, loss, with_interval
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table, count, listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.paired import Difference
    from featstore.evaluation.ranking import RankedCell
    from featstore.system.progress import Progress

_FLATTERED = {
    "choosing": "chose it among others, which flatters it",
    "stopping": "decided when its training ended, which flatters it",
    "calibrating": "chose its temperature, which flatters its log loss",
}
_SAME = 1e-9  # accuracies that differ by less are the same


class ComparedRun(NamedTuple):
    """A run among others, measured on the same images.

    Attributes:
        run: The run.
        name: What it is called in the tables: the name of its folder, or its path where two have the same name.
        accuracy: Share of right predictions, 0 to 1.
        accuracy_ci95: 95 % interval (low, high); if the run may be the best, it allows for that choice.
        log_loss: Mean over the images, in nats.
        difference_to_best: Accuracy less that of the best run on the same images, with its interval, which holds
            together with those of the others.
    """

    run: Run
    name: str
    accuracy: float
    accuracy_ci95: tuple[float, float]
    log_loss: float
    difference_to_best: Difference


@dataclass(frozen=True, kw_only=True, repr=False)
class RunComparison(Shown):
    """Runs side by side.

    Attributes:
        rows: The runs, best first.
        n: Number of images that they were measured on.
        groups: Number of groups that these fall into; None if each is one of its own.
        images: What these images are, such as "the test images of all".
        differences: Settings in which the runs differ, with the value of each, in the order of `rows`.
        notes: What makes a figure too good, and what was left out.
    """

    rows: tuple[ComparedRun, ...]
    n: int
    groups: int | None
    images: str
    differences: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    @property
    def finding(self) -> str:
        """The result as a sentence."""
        best, *others = self.rows
        size = count(self.n, "image") + ("" if self.groups is None else f" in {count(self.groups, 'group')}")
        text = f"best: {best.name}: {with_interval(best.accuracy, best.accuracy_ci95)} on {size}"
        near = [row.name for row in others if not row.difference_to_best.is_significant]
        if not near:
            return f"{text}; significantly better than {'the other' if len(others) == 1 else 'all others'}"
        return f"{text}; not significantly different: {listed(near)}"

    def parts(self) -> Iterator[str | Table]:
        """Yield the finding, a table of figures, one of what differs, and the notes."""
        yield self.finding
        yield f"measured on {self.images}"
        yield Table(
            ("run", "accuracy", "95 % interval", "log loss", "to the best"),
            [
                (
                    row.name,
                    figure(row.accuracy),
                    interval(row.accuracy_ci95),
                    loss(row.log_loss),
                    "best" if row is self.rows[0] else row.difference_to_best.in_points(),
                )
                for row in self.rows
            ],
        )
        if self.differences:
            yield ""
            header = ("setting", *(row.name for row in self.rows))
            yield Table(header, [(name, *values) for name, values in self.differences.items()])
        yield from self.notes

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values, as `featstore runs compare --json` prints them."""
        rows = [
            {
                "run": str(row.run.folder),
                "accuracy": row.accuracy,
                "accuracy_ci95": list(row.accuracy_ci95),
                "log_loss": row.log_loss,
                "difference_to_best": row.difference_to_best.value,
                "difference_ci95": [row.difference_to_best.low, row.difference_to_best.high],
                "settings": settings_of(row.run),
            }
            for row in self.rows
        ]
        about = {"finding": self.finding, "n": self.n, "groups": self.groups, "images": self.images}
        differences = {name: list(values) for name, values in self.differences.items()}
        return {"rows": rows, **about, "differences": differences, "notes": list(self.notes)}


@pinned()
def measure_side_by_side(
    runs: Sequence[Run],
    data: DataLike | None = None,
    options: DataOptions | None = None,
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> RunComparison:
    """Compare `runs` on the images that all of them held out; see `featstore.compare_runs`."""
    from featstore.evaluation.metrics import columns_of
    from featstore.evaluation.probability_scores import log_losses
    from featstore.evaluation.ranking import CellResult, joint_error, rank
    from featstore.features.arrays import labels_of, units_of

    names, splits = _names(runs), [load_splits(run) for run in runs]
    shared = _held_out_by_all(splits, names)
    manifest = as_manifest(_data_of(runs) if data is None else data, options, cache)
    pictures = _labelled(runs, manifest, shared.digests, cache, progress)
    labels, units = labels_of(pictures), units_of(pictures)
    cells, notes = [], []
    for run, name, its_splits in zip(runs, names, splits, strict=True):
        probabilities = _predict(run, pictures, cache, progress)
        truth = columns_of(labels, run.classes)
        right = (probabilities.argmax(axis=1) == truth).astype(float)
        cells.append(CellResult({"run": name}, right, float(log_losses(probabilities, truth).mean())))
        told = (*_on_images(run, its_splits, splits, shared), *_on_figures(run, its_splits, shared, right))
        notes += [f"{name}: {text}" for text in told]
    missing = len(shared.digests - {p.digest for p in pictures})
    if missing:
        notes.append(f"{count(missing, 'image')} of these {'is' if missing == 1 else 'are'} not in the data any more")
    ranked = rank(cells, units, joint_error(cells, units))
    rows = [_row(runs[cell.position], names[cell.position], cell, cells[cell.position].log_loss) for cell in ranked]
    return RunComparison(
        rows=tuple(rows),
        n=len(pictures),
        groups=None if units.are_single else len(units),
        images=shared.described,
        differences=differing([settings_of(row.run) for row in rows]),
        notes=tuple(notes),
    )


_Splits = Mapping[str, str]  # the split of each image of a run, by the digest of the image


class _HeldOut(NamedTuple):
    """The images that no run was trained on: their digests, the split that they are in for all, and what they are."""

    digests: set[str]
    split: str | None
    described: str


def _held_out_by_all(splits: Sequence[_Splits], names: Sequence[str]) -> _HeldOut:
    """Return the test images of all runs; where there are none, those of validation too; raises RunError for none."""
    if tested := set.intersection(*(_digests(some, "test") for some in splits)):
        return _HeldOut(tested, "test", "the images that are in the test split of every run")
    if held_out := set.intersection(*(_digests(some, "test", "val") for some in splits)):
        return _HeldOut(held_out, None, "the images that every run has in its validation or test split")
    raise RunError(
        f"no image is held out by all of {listed(names)}: one was trained on what another was tested on, or they are "
        "of other data; evaluate them on images that are new to all"
    )


def _digests(splits: _Splits, *wanted: str) -> set[str]:
    return {digest for digest, split in splits.items() if split in wanted}


def _on_images(run: Run, splits: _Splits, of_all: Sequence[_Splits], shared: _HeldOut) -> Iterator[str]:
    """Yield notes on a run: which of its held-out images do not count, and what it used those that do for."""
    held_out = _digests(splits, "test") or _digests(splits, "val")
    left_out = held_out - shared.digests
    if left_out:
        trained = sum(any(other.get(digest) == "train" for other in of_all) for digest in left_out)
        why = f", {trained} of them since another run was trained on them" if trained else ""
        yield f"{len(left_out)} of its {len(held_out)} held-out images are left out{why}"
    used = len(shared.digests & _digests(splits, "val"))
    if used and run.use_of_val in _FLATTERED:
        yield f"{used} of the images {_FLATTERED[run.use_of_val]}"
    if run.interrupted:
        yield "its training was interrupted"


def _on_figures(run: Run, splits: _Splits, shared: _HeldOut, right: NDArray[np.float64]) -> Iterator[str]:
    """Yield a note if a run recorded another accuracy on the very same images."""
    recorded = run.metrics.get(shared.split or "")
    if recorded is None or recorded.n != len(right) or _digests(splits, str(shared.split)) != shared.digests:
        return
    if abs(recorded.accuracy - right.mean()) > _SAME:
        yield f"recorded {figure(recorded.accuracy)} on these images: labels have changed since, or its base"


def _labelled(
    runs: Sequence[Run], manifest: Manifest, digests: set[str], cache: CacheLike, progress: Progress | None
) -> list[Picture]:
    """Return the images to measure on, with their labels; a run does not keep these, only the data have them."""
    labelled = [p for p in manifest.pictures if p.label is not None]
    if not labelled:
        raise DataError(
            f"{manifest.source}: has no labels to compare by{f'; {manifest.hint}' if manifest.hint else ''}"
        )
    memory = cache_of(runs[0], cache, progress).digests
    memory.refresh()
    known = ((p, _digest(p, memory)) for p in labelled)
    pictures = [p.with_digest(digest) for p, digest in known if digest in digests]
    if not pictures:
        raise DataError(f"{manifest.source}: has none of the images that the runs held out; give other {param('data')}")
    for run in runs:
        if unknown := sorted({p.class_name for p in pictures} - {*run.classes}):
            raise DataError(f"{run.folder}: does not know the class {unknown[0]!r} of {manifest.source}")
    return pictures


def _digest(picture: Picture, memory: DigestMemory) -> str | None:
    """Return the digest of an image, remembered or computed, so that images that do not count need no features."""
    if remembered := memory.get(picture.path, picture.stat):
        return remembered
    try:
        return content_digest(read_file(picture.path, picture.stat.size).raw)
    except UnreadableImage:  # then it is missing, which is told
        return None


def _data_of(runs: Sequence[Run]) -> str:
    """Return where the data of the runs are; raises UsageError if they are at none of the places that are recorded."""
    for run in runs:
        if kind_of(run.data) is not None:
            return run.data
    raise UsageError(
        f"the data of the runs are expected at {runs[0].data}, and are not there: give their place with {param('data')}"
    )


def _predict(run: Run, pictures: Sequence[Picture], cache: CacheLike, progress: Progress | None) -> NDArray[np.float64]:
    """Return the probabilities (n, classes) of a run for `pictures`, from rows in its cache or computed now."""
    predictor = Predictor.of(run, None, cache, progress)
    extraction = predictor.complete(Manifest(run.data, tuple(pictures)))
    if extraction.manifest.skipped:
        path, reason = extraction.manifest.skipped[0]
        raise DataError(f"{path}: {reason}; leave it out of the data, so that all runs are measured on the same images")
    return predictor.predict(extraction.manifest.pictures, extraction)


def _row(run: Run, name: str, cell: RankedCell, log_loss: float) -> ComparedRun:
    return ComparedRun(run, name, cell.accuracy, cell.accuracy_ci95, log_loss, cell.difference_to_best)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the names of the runs' folders, or their paths where two are called the same; raises UsageError."""
    folders = [run.folder.resolve() for run in runs]
    if len(folders) < 2 or len({*folders}) < len(folders):
        raise UsageError(f"expected two or more different runs to compare, found {len({*folders})}")
    names = [folder.name for folder in folders]
    return [name if names.count(name) == 1 else str(run.folder) for name, run in zip(names, runs, strict=True)]
