"""Measuring every cell of a grid on the same held-out images, from cached features."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.comparison.grid import GridCell, Measurement, command_line, make_grid
from featstore.datasets.leaks import leak_notes
from featstore.datasets.manifest import Manifest, Skipped, scan
from featstore.datasets.splits import fold_splits
from featstore.errors import DataError, FeatstoreError
from featstore.evaluation.paired import Difference
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import FeatureSet, extract_augmented
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.heads.interface import Curve
from featstore.heads.registry import HeadName
from featstore.system.text import Shown, Table
from featstore.training.fit import Prepared, fit_head, prepare
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.system.progress import Progress

OnCell = Callable[[int, int], None]  # (cells measured, cells in all)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell of the grid, measured.

    Attributes:
        cell: Its recipe and head.
        factors: `model`, `preprocess`, `size`, `views` and `head` in words.
        size: Input size (height, width) in px.
        n: Number of held-out images.
        accuracy: Share of right answers, mean over the seeds.
        accuracy_ci95: 95 % interval (low, high) of the accuracy.
        log_loss: Mean over images and seeds, in nats.
        difference_to_best: Accuracy less that of the best row, on the same images.
        difference_ci95: 95 % interval (low, high) of this difference.
        seconds_extract: Seconds that the extraction took in this call; 0 where all was cached.
        seconds_fit: Sum over all fits of the head.
        width: Numbers in a row of features.
        bytes: What the features take in the cache.
        command: The `featstore train-head` command that makes this cell.
    """

    cell: GridCell
    factors: Mapping[str, str]
    size: tuple[int, int]
    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    log_loss: float
    difference_to_best: float
    difference_ci95: tuple[float, float]
    seconds_extract: float
    seconds_fit: float
    width: int
    bytes: int
    command: str

    def describe(self) -> dict[str, Any]:
        """As `featstore compare --json` prints it."""
        recipe = self.cell.recipe
        return {
            "model": recipe.model,
            "alpha": recipe.alpha,
            "preprocess": recipe.preprocess,
            "size": list(self.size),
            "views": recipe.views,
            "head": self.cell.head.head,
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "log_loss": self.log_loss,
            "difference_to_best": self.difference_to_best,
            "difference_ci95": list(self.difference_ci95),
            "seconds_extract": round(self.seconds_extract, 3),
            "seconds_fit": round(self.seconds_fit, 3),
            "width": self.width,
            "bytes": self.bytes,
            "command": self.command,
        }

    def cells(self) -> list[str]:
        """Return the row as text, as a table shows it."""
        low, high = self.accuracy_ci95
        to_best = "best"
        if (self.difference_to_best, *self.difference_ci95) != (0.0, 0.0, 0.0):
            to_best = Difference(self.difference_to_best, *self.difference_ci95).in_points().replace(" points", "")
        return [
            *self.factors.values(),
            f"{self.accuracy:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{self.log_loss:.3f}",
            to_best,
            f"{self.seconds_extract:.1f}",
            f"{self.seconds_fit:.1f}",
            str(self.width),
            f"{self.bytes / 1e6:.1f}",
        ]


class Failed(NamedTuple):
    """A cell that could not be measured, and why."""

    command: str
    reason: str


@dataclass(frozen=True)
class Comparison(Shown):
    """`rows` best first; `findings` in plain words; `curves` over the epochs, of the first fit of each cell."""

    rows: tuple[Row, ...]
    findings: tuple[str, ...]
    curves: Mapping[GridCell, Curve]
    failed: tuple[Failed, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]  # what makes the figures too good
    split: str  # what was measured on, in words

    def parts(self) -> Iterator[str | Table]:
        """Yield the findings, a table of the cells, best first, and the command that measures each by itself."""
        yield from self.findings
        yield ""
        yield f"measured on {self.split}, {self.rows[0].n} images:"
        results = ("accuracy", "95 % interval", "log loss", "to the best", "extract s", "fit s", "width", "MB")
        yield Table([*self.rows[0].factors, *results], [row.cells() for row in self.rows])
        yield ""
        yield "each row by itself, from the top:"
        yield from (f"  {row.command}" for row in self.rows)


class _Measured(NamedTuple):
    cell: GridCell
    right: NDArray[np.float64]
    log_loss: float
    seconds: float
    curve: Curve


def measure_grid(
    data: str | os.PathLike[str] | Manifest,
    recipes: Sequence[Recipe],
    heads: Sequence[HeadName] = ("logistic",),
    settings: Mapping[str, Any] | None = None,
    head: HeadRecipe | None = None,
    measurement: Measurement | None = None,
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure each of `recipes` under each of `heads`: features from the cache, heads trained anew.

    `head` says how all heads are trained and asked, `settings` the parameters of those that have them. Cells are
    measured on the test split, on the validation split where there is none, or by cross-validation. A cell whose
    training fails is listed as failed, the others go on.
    """
    measurement = measurement or Measurement()
    head = replace(head or HeadRecipe(), seed=measurement.seed)
    head.check(recipes)
    cells = make_grid(list(dict.fromkeys(recipes)), list(dict.fromkeys(heads)), settings or {}, head)
    manifest = data if isinstance(data, Manifest) else scan(data)
    unique = list(dict.fromkeys(cell.recipe for cell in cells))
    named = str(Cache.at(cache).folder) if cache else None
    prepared = prepare(manifest, unique, measurement.val_fraction, measurement.test_fraction, cache, progress)
    plan_of = {plan.recipe: plan for plan in prepared.plans}
    lessons, split = _lessons(prepared, measurement, progress)
    source = os.fspath(data) if not isinstance(data, Manifest) else data.source
    on_cell = progress.steps("measuring", "cells") if progress else None
    measured: list[_Measured] = []
    failed: list[Failed] = []
    for number, cell in enumerate(cells):
        try:
            measured.append(_measure(cell, plan_of[cell.recipe], lessons, split, measurement.seeds))
        except FeatstoreError as error:
            command = command_line(source, cell, measurement, named)
            failed.append(Failed(command, str(error)))
        if on_cell:
            on_cell(number + 1, len(cells))
    if not measured:
        raise DataError(f"{source}: no cell of the grid could be measured; the first: {failed[0].reason}")
    commands = [command_line(source, m.cell, measurement, named) for m in measured]
    rows, findings = _judge(measured, prepared, commands)
    curves = {m.cell: m.curve for m in measured if m.curve.x_name == "epoch"}
    words = f"{measurement.folds}-fold cross-validation" if measurement.folds else f"the {split} split"
    notes = leak_notes(lessons[0].manifest)
    return Comparison(rows, findings, curves, tuple(failed), prepared.manifest.skipped, notes, words)


def _lessons(prepared: Prepared, measurement: Measurement, progress: Progress | None) -> tuple[list[Prepared], str]:
    """The data set with its splits, once for each fold; and the split that is measured on."""
    manifest = prepared.manifest
    if measurement.folds is not None:
        divided = fold_splits(prepared.given, measurement.folds, measurement.val_fraction)
        everything = manifest.with_pictures([p._replace(split="train") for p in divided[0].pictures])
        extract_augmented(everything, prepared.plans, prepared.cache, progress)
        return [replace(prepared, manifest=fold) for fold in divided], "test"
    labelled = {p.split for p in manifest.pictures if p.label is not None}
    return [prepared], "test" if "test" in labelled else "val"


def _measure(cell: GridCell, plan: Plan, lessons: Sequence[Prepared], split: str, seeds: int) -> _Measured:
    """One cell: fitted once for each seed and fold; `right` is in the order of the folds' held-out images."""
    import numpy as np

    from featstore.heads.registry import make_head

    head = cell.head if plan.views > 1 else replace(cell.head, train_on=None, average=None)
    right, losses, seconds = [], [], 0.0
    curves: list[Curve] = []
    for seed in range(head.seed, head.seed + seeds):
        of_seed = []
        for lesson in lessons:
            estimator = make_head(head.head, head.parameters)
            fitted = fit_head(lesson, [plan], replace(head, seed=seed), estimator, ask=(split,))
            seconds += fitted.seconds
            curves.append(estimator.curve)
            hits, loss = _answers(fitted.probabilities[split], fitted.labels[split], lesson.manifest.classes)
            of_seed.append(hits)
            losses.append(loss)
        right.append(np.concatenate(of_seed))
    return _Measured(cell, np.mean(right, axis=0), float(np.concatenate(losses).mean()), seconds, curves[0])


def _answers(
    probabilities: NDArray[np.float64], labels: NDArray[np.str_], classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) 1.0 where the answer is right, and (n,) the log loss of each image."""
    from featstore.evaluation.metrics import log_losses

    truth = [classes.index(str(label)) for label in labels]
    return (probabilities.argmax(axis=1) == truth).astype(float), log_losses(probabilities, truth)


def _judge(
    measured: Sequence[_Measured], prepared: Prepared, commands: Sequence[str]
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    from featstore.comparison.findings import Cell, findings, rank

    cells = [Cell(_factors(m.cell, prepared), m.right, m.log_loss) for m in measured]
    rows = []
    for ranked in rank(cells):
        m = measured[ranked.place]
        features = [f for f in prepared.features if f.recipe == m.cell.recipe]
        rows.append(
            Row(
                cell=m.cell,
                factors=cells[ranked.place].factors,
                size=_size(features),
                n=len(m.right),
                accuracy=ranked.accuracy,
                accuracy_ci95=ranked.accuracy_ci95,
                log_loss=m.log_loss,
                difference_to_best=ranked.difference_to_best.value,
                difference_ci95=(ranked.difference_to_best.low, ranked.difference_to_best.high),
                seconds_extract=sum(f.seconds for f in features),
                seconds_fit=m.seconds,
                width=_width(features),
                bytes=sum(f.bytes for f in features),
                command=commands[ranked.place],
            )
        )
    return tuple(rows), tuple(findings(cells))


def _factors(cell: GridCell, prepared: Prepared) -> dict[str, str]:
    height, width = _size([f for f in prepared.features if f.recipe == cell.recipe])
    size = str(height) if height == width else f"{height}x{width}"
    recipe = cell.recipe
    return {
        "model": cell.model,
        "preprocess": recipe.preprocess,
        "size": size,
        "views": recipe.views,
        "head": cell.head.head,
    }


def _size(features: Sequence[FeatureSet]) -> tuple[int, int]:
    reading = features[0].spec.reading
    return reading.height, reading.width


def _width(features: Sequence[FeatureSet]) -> int:
    width = 1
    for side in features[0].shape:
        width *= side
    return width
