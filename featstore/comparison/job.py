"""The comparison: measures every cell of a grid on the same held-out images, from cached features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.comparison.grid import GridCell, Measurement, command_line, make_grid
from featstore.comparison.naming import NamedCells, name_cells, row_name, shared_settings
from featstore.comparison.result import Comparison, ComparisonRow, FailedCell
from featstore.copies.leaks import summarize_with_copies
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import Source, as_manifest
from featstore.datasets.splits import pool_for_folds
from featstore.errors import DataError, FeatstoreError, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import FeatureSet
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HeadName, settle_head, stops_on_val
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.training.fit import Prepared, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.repeats import Divisions, RepeatedFit, divide, fit_repeatedly
from featstore.training.rows import tell_of_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.metrics import Metrics
    from featstore.evaluation.units import Units
    from featstore.system.progress import OnStep, Progress


class _MeasuredCell(NamedTuple):
    """A cell with its result before the ranking; `truth` (n,) as in `measure`."""

    cell: GridCell
    command: str
    fitted: RepeatedFit
    truth: NDArray[np.intp]
    units: Units
    metrics: Metrics

    @property
    def right(self) -> NDArray[np.float64]:
        """The share (n,) of the seeds for which each image was right."""
        return self.fitted.repeats.mean_right


@pinned()
def measure_grid(
    data: OnePath | Manifest | Source,
    recipes: Sequence[Recipe],
    heads: Sequence[HeadName] = ("logistic",),
    settings: Mapping[str, Any] | None = None,
    head: HeadRecipe | None = None,
    measurement: Measurement | None = None,
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure each of `recipes` with each of `heads`. Features come from the cache, and every head is trained again.

    `head` has the settings that all heads share, and `settings` are parameters of the heads that have them. Cells are
    measured on the test split, on the validation split where there is no test split, or by cross-validation. A cell
    whose training fails is listed in `failed`, and the others are measured. Raises DataError where all cells fail, and
    UsageError for unknown heads or settings.

    Without a test split, a head that stops on the validation split would be measured on the images that chose its
    epoch, next to heads that never saw them. Then training images take the place of that split, for all cells.
    """
    measurement = measurement or Measurement()
    head = replace(head or HeadRecipe(), seed=measurement.seed)
    head.check(recipes)
    if not heads:
        raise UsageError(f"{param('heads')}: expected at least one head, found none")
    heads = list(dict.fromkeys(map(settle_head, heads)))
    grid = make_grid(list(dict.fromkeys(recipes)), heads, settings or {}, head)
    manifest = as_manifest(data)
    if measurement.folds is None:
        measurement, grid = keep_apart(manifest, measurement, grid)
    unique = list(dict.fromkeys(cell.recipe for cell in grid))
    tell_assumptions(recipes, progress)
    prepared = prepare(
        manifest,
        unique,
        measurement.val_fraction,
        measurement.test_fraction,
        cache,
        progress,
        val_as_test=measurement.val_as_test,
        in_folds=measurement.folds is not None,
    )
    named = name_cells(grid, prepared.plans)
    divisions, split = _divide(prepared, measurement, progress)
    # Folds are made of all images and keep copies together, so what the given splits share leaks nothing.
    folds = measurement.folds is not None
    pool = pool_for_folds(prepared.given) if folds else prepared.manifest
    summary = summarize_with_copies(pool, prepared.plans, prepared.cache, progress, in_folds=folds)
    summary.tell(progress)
    source = manifest.source
    cache_folder = str(Cache.at(cache).folder) if cache else None
    commands = {cell: command_line(source, cell, measurement, cache_folder, manifest.options) for cell in named.factors}
    for cell in grid:
        plans = [plan for plan in prepared.plans if plan.recipe == cell.recipe]
        tell_of_memory(divisions[0][0].manifest, plans, cell.head, prepared.cache, progress)
    on_cell = progress.steps("measuring", "cells") if progress else None
    measured, failed = _measure_all(commands, divisions, split, on_cell)
    if not measured:
        raise DataError(f"{source}: no cell of the grid could be measured; the first: {failed[0].reason}")
    rows, findings = _rank(measured, prepared, named)
    name = "the folds" if measurement.folds else "val" if measurement.val_as_test else split
    return Comparison(
        rows,
        findings,
        curves={m.cell: m.fitted.curve for m in measured if m.fitted.curve.x_name == "epoch"},
        failed=tuple(failed),
        skipped=prepared.manifest.skipped,
        notes=summary.notes,
        data=summary,
        remarks=_remarks(name, rows, measured),
        split=describe_split(measurement, split),
        shared=(*named.shared, *shared_settings(list(named.factors), measurement)),
    )


def _remarks(split: str, rows: Sequence[ComparisonRow], measured: Sequence[_MeasuredCell]) -> tuple[str, ...]:
    """Return the remarks on the rows, measured on what is called `split`."""
    from featstore.evaluation.remarks import remarks_on, remarks_on_several

    of_cell = {m.cell: remarks_on({split: m.metrics}, m.fitted.on_training) for m in measured}
    return tuple(remarks_on_several({row.name: of_cell[row.cell] for row in rows}))


def keep_apart(
    manifest: Manifest, measurement: Measurement, grid: list[GridCell]
) -> tuple[Measurement, list[GridCell]]:
    """Return how to measure, and the cells, so that nothing is measured on the images that choose something for it."""
    if not _has_no_test(manifest, measurement):
        return measurement, grid
    if any(stops_on_val(cell.head.head, cell.head.parameters) for cell in grid):
        return replace(measurement, val_as_test=True), grid
    if measurement.val_as_test:
        return measurement, grid
    # what is measured on must not choose the temperature either
    return measurement, [replace(cell, head=replace(cell.head, calibrate=False)) for cell in grid]


def _has_no_test(manifest: Manifest, measurement: Measurement) -> bool:
    """Return whether there will be no test split, so that the validation split is measured on."""
    given = {p.split for p in manifest.pictures if p.label is not None}
    return measurement.test_fraction == 0 if given == {None} else "test" not in given


def describe_split(measurement: Measurement, split: str) -> str:
    """Return what was measured on, in words."""
    if measurement.folds:
        return f"{measurement.folds}-fold cross-validation"
    return "the val split, with training images to stop on instead" if measurement.val_as_test else f"the {split} split"


def _divide(prepared: Prepared, measurement: Measurement, progress: Progress | None) -> tuple[Divisions, str]:
    """Return the data set with its splits, or those of each fold, for each seed; and the split that is measured on."""
    how = measurement
    divisions = divide(prepared, how.folds, how.seed, how.seeds, how.val_fraction, progress)
    if how.folds is not None:
        return divisions, "test"
    return divisions, split_to_measure(prepared.manifest)


def split_to_measure(manifest: Manifest) -> str:
    """Return the split that is measured on: the test split if there is one; raises DataError if no image is left."""
    labelled = {p.split for p in manifest.pictures if p.label is not None}
    if not labelled & {"test", "val"}:
        raise DataError(
            f"{manifest.source}: no image is left to measure on, as the only one of a class is trained on; add images"
        )
    return "test" if "test" in labelled else "val"


def _measure_all(
    commands: Mapping[GridCell, str], divisions: Divisions, split: str, on_cell: OnStep | None
) -> tuple[list[_MeasuredCell], list[FailedCell]]:
    """Measure the cells of `commands`; return them and those that failed."""
    plans = {plan.recipe: plan for plan in divisions[0][0].plans}
    measured: list[_MeasuredCell] = []
    failed: list[FailedCell] = []
    for number, (cell, command) in enumerate(commands.items(), start=1):
        try:
            measured.append(_measure(cell, command, plans[cell.recipe], divisions, split))
        except FeatstoreError as error:
            failed.append(FailedCell(command, str(error)))
        if on_cell:
            on_cell(number, len(commands))
    return measured, failed


def _measure(cell: GridCell, command: str, plan: Plan, divisions: Divisions, split: str) -> _MeasuredCell:
    """Fit and measure a cell once for each seed and fold."""
    from featstore.evaluation.metrics import columns_of, measure
    from featstore.features.arrays import units_of

    fitted = fit_repeatedly(divisions, [plan], cell.head, split)
    classes, units = divisions[0][0].manifest.classes, units_of(fitted.pictures)
    truth = columns_of([p.class_name for p in fitted.pictures], classes)
    own_units = units.worth_less(fitted.repeats.effect(units))
    metrics = measure(fitted.repeats.mean_right, fitted.log_loss, truth, classes, own_units, "measuring")
    return _MeasuredCell(cell, command, fitted, truth, units, metrics)


def _rank(
    measured: Sequence[_MeasuredCell], prepared: Prepared, named: NamedCells
) -> tuple[tuple[ComparisonRow, ...], tuple[str, ...]]:
    """Return the rows, best first, and the findings."""
    from featstore.comparison.findings import Bar, describe_findings
    from featstore.evaluation.by_class import always_commonest
    from featstore.evaluation.ranking import CellResult, joint_error, rank

    units = measured[0].units
    cells = [CellResult(named.factors[m.cell], m.right, m.metrics.log_loss, m.fitted.repeats) for m in measured]
    rows = []
    shown = [cell.factors for cell in cells]
    error = joint_error(cells, units)
    ranking = rank(cells, units, error)
    for ranked in ranking:
        m = measured[ranked.position]
        features = [f for f in prepared.features if f.recipe == m.cell.recipe]
        by_class = m.metrics.by_class
        assert by_class is not None
        rows.append(
            ComparisonRow(
                cell=m.cell,
                factors=named.factors[m.cell],
                options=named.options[m.cell],
                name=row_name(named.factors[m.cell], shown),
                size=_size(features),
                n=len(m.right),
                groups=None if units.are_single else len(units),
                accuracy=ranked.accuracy,
                accuracy_ci95=ranked.accuracy_ci95,
                repeats=m.fitted.repeats,
                by_class=by_class,
                log_loss=m.metrics.log_loss,
                macro_f1=m.fitted.macro_f1,
                brier=m.fitted.brier,
                difference_to_best=ranked.difference_to_best.value,
                difference_ci95=(ranked.difference_to_best.low, ranked.difference_to_best.high),
                seconds_extract=sum(f.seconds for f in features),
                seconds_fit=m.fitted.seconds,
                width=_width(features),
                bytes=sum(f.bytes for f in features),
                command=m.command,
            )
        )
    bar = Bar(rows[0].by_class.commonest, always_commonest(measured[0].truth))
    return tuple(rows), tuple(describe_findings(cells, ranking, units, error, bar))


def _size(features: Sequence[FeatureSet]) -> tuple[int, int]:
    """Return the input size (height, width) in px."""
    reading = features[0].spec.reading
    return reading.height, reading.width


def _width(features: Sequence[FeatureSet]) -> int:
    width = 1
    for side in features[0].shape:
        width *= side
    return width
