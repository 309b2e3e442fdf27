"""The learning curve: heads trained on more and more of the training images, and measured on the same held-out ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import floor, log10
from typing import TYPE_CHECKING, Any

from featstore.comparison.grid import Measurement, make_grid
from featstore.comparison.job import describe_split, keep_apart, split_to_measure
from featstore.comparison.learning_points import CurvePoint, HeadCurve
from featstore.comparison.learning_result import LearningCurve
from featstore.copies.leaks import summarize_with_copies
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import Source, as_manifest
from featstore.datasets.subsets import nested_subsets
from featstore.errors import DataError, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import CacheLike
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HeadName, settle_head
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.training.fit import Prepared, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.repeats import Divisions, RepeatedFit, fit_repeatedly
from featstore.training.rows import tell_of_memory

if TYPE_CHECKING:
    from featstore.evaluation.units import Units
    from featstore.system.progress import Progress

DRAWS = 5
_LEAST = 4  # images of a class in the smallest training set


@pinned()
def measure_learning_curve(
    data: OnePath | Manifest | Source,
    recipe: Recipe,
    heads: Sequence[HeadName] = ("logistic",),
    settings: Mapping[str, Any] | None = None,
    head: HeadRecipe | None = None,
    measurement: Measurement | None = None,
    *,
    draws: int = DRAWS,
    more: int | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> LearningCurve:
    """Train each of `heads` on all training images, on half of them, a quarter and so on, and measure all alike.

    Each of the smaller training sets is drawn `draws` times, with another seed of the head; within a draw, a larger set
    holds the smaller ones. The images that are measured on are those of `compare`, and so is the validation split.
    `more` is how many more images of each class the findings speak of; by default about half as many as there are.

    Raises DataError for a class of too few training images, UsageError for unknown heads or settings.
    """
    measurement = measurement or Measurement()
    head = replace(head or HeadRecipe(), seed=measurement.seed)
    for name, number in (("draws", draws), ("more", more)):
        if number is not None and number < 1:
            raise UsageError(f"{param(name, number)}: expected 1 or more")
    head.check([recipe])
    if not heads:
        raise UsageError(f"{param('heads')}: expected at least one head, found none")
    heads = list(dict.fromkeys(map(settle_head, heads)))
    grid = make_grid([recipe], heads, settings or {}, head)
    manifest = as_manifest(data)
    measurement, grid = keep_apart(manifest, measurement, grid)
    tell_assumptions([recipe], progress)
    how = measurement
    unique = list(dict.fromkeys(cell.recipe for cell in grid))
    prepared = prepare(
        manifest, unique, how.val_fraction, how.test_fraction, cache, progress, val_as_test=how.val_as_test
    )
    summary = summarize_with_copies(prepared.manifest, prepared.plans, prepared.cache, progress)
    summary.tell(progress)
    split = split_to_measure(prepared.manifest)
    by_size = list(_training_sets(prepared, draws))
    plans = {plan.recipe: plan for plan in prepared.plans}
    on_step = progress.steps("measuring", "sizes") if progress else None
    curves: dict[str, HeadCurve] = {}
    last: dict[str, RepeatedFit] = {}
    for cell in grid:
        tell_of_memory(prepared.manifest, [plans[cell.recipe]], cell.head, prepared.cache, progress)
        fits = []
        for divisions in by_size:
            fits.append(fit_repeatedly(divisions, [plans[cell.recipe]], cell.head, split))
            if on_step:
                on_step(len(curves) * len(by_size) + len(fits), len(grid) * len(by_size))
        last[cell.head.head] = fits[-1]
        curves[cell.head.head] = _curve(cell.head, by_size, fits, how.seed)
    units = _units(fits[-1])
    largest = next(iter(curves.values())).points[-1].per_class
    return LearningCurve(
        curves,
        more or _about_half(largest),
        units,
        describe_split(how, split),
        summary,
        _remarks(last, split, how, prepared.manifest.classes),
        prepared.manifest.skipped,
    )


def _training_sets(prepared: Prepared, draws: int) -> Iterator[Divisions]:
    """Yield the data set with training sets of each size, the smallest first, each in several draws.

    All training images can be drawn in one way only. Of sizes that large groups make the same, one is kept.
    """
    manifest = prepared.manifest
    train = [p for p in manifest.of_split("train") if p.label is not None]
    smallest = min(sum(p.label == name for p in train) for name in manifest.classes)
    shares = [2.0**-k for k in range(1, 64) if smallest * 2.0**-k >= _LEAST][::-1]
    if not shares:
        raise DataError(
            f"{manifest.source}: a class has {smallest} training images; a learning curve takes {2 * _LEAST} or more"
        )
    drawn = [nested_subsets(manifest, shares, draw) for draw in range(draws)]
    before = 0
    for subsets in zip(*drawn, strict=True):
        images = sum(len(subset.of_split("train")) for subset in subsets)
        if before < images < draws * len(train):
            yield [[replace(prepared, manifest=subset)] for subset in subsets]
        before = images
    yield [[prepared]]


def _curve(head: HeadRecipe, by_size: Sequence[Divisions], fits: Sequence[RepeatedFit], seed: int) -> HeadCurve:
    """Return the points of a head, and the law through them."""
    from featstore.comparison.curve_fit import fit

    points = [_point(head.head, divisions, fitted) for divisions, fitted in zip(by_size, fits, strict=True)]
    right = [fitted.repeats.right for fitted in fits]
    return HeadCurve(tuple(points), fit([point.per_class for point in points], right, _units(fits[-1]), seed))


def _point(head: str, divisions: Divisions, fitted: RepeatedFit) -> CurvePoint:
    from featstore.evaluation.intervals import accuracy_interval

    repeats, units = fitted.repeats, _units(fitted)
    trained = [len([p for p in one.manifest.of_split("train") if p.label is not None]) for [one] in divisions]
    images = sum(trained) / len(trained)
    return CurvePoint(
        head=head,
        images=images,
        per_class=images / len(divisions[0][0].manifest.classes),
        draws=len(divisions),
        accuracy=float(repeats.mean_right.mean()),
        accuracy_ci95=accuracy_interval(repeats.mean_right, units.worth_less(repeats.effect_of_draws(units))),
        spread=repeats.spread_seeds,
        log_loss=fitted.log_loss,
        seconds_fit=fitted.seconds,
    )


def _units(fitted: RepeatedFit) -> Units:
    from featstore.features.arrays import units_of

    return units_of(fitted.pictures)


def _remarks(
    fits: Mapping[str, RepeatedFit], split: str, measurement: Measurement, classes: Sequence[str]
) -> tuple[str, ...]:
    """Return the remarks on the heads that were trained on all images, by their names."""
    from featstore.evaluation.metrics import columns_of, measure
    from featstore.evaluation.remarks import remarks_on, remarks_on_several

    name = "val" if measurement.val_as_test else split
    of_head = {}
    for head, fitted in fits.items():
        truth = columns_of([p.class_name for p in fitted.pictures], classes)
        metrics = measure(fitted.repeats.mean_right, fitted.log_loss, truth, classes, _units(fitted), "measuring")
        of_head[head] = remarks_on({name: metrics}, fitted.on_training)
    return tuple(remarks_on_several(of_head))


def _about_half(size: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50, ... that is at most half of `size`."""
    power = int(10 ** max(0, floor(log10(max(1.0, size / 2)))))
    return max(power * digit for digit in (1, 2, 5) if digit == 1 or power * digit <= size / 2)
