"""Runs side by side: measured again on the same held-out images, with paired differences, and what differs in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import DataLike, as_manifest
from featstore.errors import DataError, RunError, UsageError, param
from featstore.extraction.cache import CacheLike
from featstore.runs.files import load_splits
from featstore.runs.recipes import cache_of, complete_rows, plans_of
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

    names = _names(runs)
    shared = _Shared(runs, names)
    manifest = as_manifest(_data_of(runs) if data is None else data, options, cache)
    pictures = _labelled(runs, manifest, shared, cache, progress)
    labels, units = labels_of(pictures), units_of(pictures)
    cells, notes = [], [*shared.notes]
    for run, name in zip(runs, names, strict=True):
        probabilities = _predict(run, pictures, cache, progress)
        truth = columns_of(labels, run.classes)
        right = (probabilities.argmax(axis=1) == truth).astype(float)
        cells.append(CellResult({"run": name}, right, float(log_losses(probabilities, truth).mean())))
        notes += _on_other_figures(run, name, shared, len(pictures), float(right.mean()))
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


class _Shared:
    """The images that all runs held out: those of all test splits, or those that none was trained on.

    digests: their digests. described: what they are. split: the split of all of them, or None. notes: which images are
    left out, and whose figures are too good.
    """

    def __init__(self, runs: Sequence[Run], names: Sequence[str]) -> None:
        splits = [load_splits(run) for run in runs]
        self.split: str | None = "test"
        self.digests = _in_all(splits, ("test",))
        self.described = "the images that are in the test split of every run"
        if not self.digests:
            self.split, self.digests = None, _in_all(splits, ("test", "val"))
            self.described = "the images that every run has in its validation or test split"
        if not self.digests:
            raise RunError(
                f"no image is held out by all of {listed(names)}: one was trained on what another was tested on, or "
                "they are of other data; evaluate them on images that are new to all"
            )
        self.notes: list[str] = []
        for run, name, found in zip(runs, names, splits, strict=True):
            held_out = _digests(found, "test") or _digests(found, "val")
            left = held_out - self.digests
            trained = sum(any(other.get(digest) == "train" for other in splits) for digest in left)
            if left:
                why = f", {trained} of them since another run was trained on them" if trained else ""
                self.notes.append(f"{name}: {len(left)} of its {len(held_out)} held-out images are left out{why}")
            used = sum(found[digest] == "val" for digest in self.digests)
            if used and run.use_of_val != "measuring":
                self.notes.append(f"{name}: {used} of the images {_FLATTERED[run.use_of_val]}")
            if run.interrupted:
                self.notes.append(f"{name}: its training was interrupted")


def _in_all(splits: Sequence[Mapping[str, str]], wanted: tuple[str, ...]) -> set[str]:
    """Return the digests of the images that are in one of the splits `wanted` in every run."""
    return set.intersection(*({d for d, split in found.items() if split in wanted} for found in splits))


def _digests(splits: Mapping[str, str], wanted: str) -> set[str]:
    return {digest for digest, split in splits.items() if split == wanted}


def _labelled(
    runs: Sequence[Run], manifest: Manifest, shared: _Shared, cache: CacheLike, progress: Progress | None
) -> list[Picture]:
    """Return the images to measure on, with their labels; a run does not keep these, only the data have them."""
    labelled = manifest.with_pictures([p for p in manifest.pictures if p.label is not None])
    if not labelled.pictures:
        raise DataError(
            f"{manifest.source}: has no labels to compare by{f'; {manifest.hint}' if manifest.hint else ''}"
        )
    chosen = cache_of(runs[0], cache, progress)
    read = complete_rows(runs[0], labelled, plans_of(runs[0], None, chosen), None, chosen, progress).manifest
    pictures = [p for p in read.pictures if p.digest in shared.digests]
    if not pictures:
        raise DataError(f"{manifest.source}: has none of the images that the runs held out; give other {param('data')}")
    for run in runs:
        if unknown := sorted({p.class_name for p in pictures} - {*run.classes}):
            raise DataError(f"{run.folder}: does not know the class {unknown[0]!r} of {manifest.source}")
    return pictures


def _data_of(runs: Sequence[Run]) -> str:
    """Return where the data of the runs are; raises UsageError if they are at none of the places that are recorded."""
    for run in runs:
        if Path(run.data).exists():
            return run.data
    raise UsageError(
        f"the data of the runs are expected at {runs[0].data}, and are not there: give their place with {param('data')}"
    )


def _predict(run: Run, pictures: Sequence[Picture], cache: CacheLike, progress: Progress | None) -> NDArray[np.float64]:
    """Return the probabilities (n, classes) of a run for `pictures`, from rows in its cache or computed now."""
    from featstore.features.views import load_in_blocks

    chosen = cache_of(run, cache, progress)
    extraction = complete_rows(
        run, Manifest(run.data, tuple(pictures)), plans_of(run, None, chosen), None, chosen, progress
    )
    if extraction.manifest.skipped:
        path, reason = extraction.manifest.skipped[0]
        raise DataError(f"{path}: {reason}; leave it out of the data, so that all runs are measured on the same images")
    return run.predict_blocks(load_in_blocks(extraction.manifest.pictures, extraction.plans, chosen))


def _on_other_figures(run: Run, name: str, shared: _Shared, n: int, accuracy: float) -> Iterator[str]:
    """Yield a note if a run recorded another accuracy on the very same images."""
    recorded = run.metrics.get(shared.split or "")
    splits = load_splits(run)
    if recorded is None or recorded.n != n or _digests(splits, str(shared.split)) != shared.digests:
        return
    if abs(recorded.accuracy - accuracy) > _SAME:
        yield f"{name}: recorded {figure(recorded.accuracy)} on these images: labels have changed since, or its base"


def _row(run: Run, name: str, cell: RankedCell, log_loss: float) -> ComparedRun:
    return ComparedRun(run, name, cell.accuracy, cell.accuracy_ci95, log_loss, cell.difference_to_best)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the names of the runs' folders, or their paths where two are called the same; raises UsageError."""
    folders = [run.folder.resolve() for run in runs]
    if len(folders) < 2 or len({*folders}) < len(folders):
        raise UsageError(f"expected two or more different runs to compare, found {len({*folders})}")
    names = [folder.name for folder in folders]
    return [name if names.count(name) == 1 else str(run.folder) for name, run in zip(names, runs, strict=True)]
