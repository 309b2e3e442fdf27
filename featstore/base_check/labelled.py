"""The check of a base with labels: the accuracy of its ImageNet classifier with each variant of the preprocessing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Skipped, list_files
from featstore.errors import DataError, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import Extraction, extract_features
from featstore.extraction.recipe import Recipe
from featstore.images.preprocessing import NAMED
from featstore.images.reading import parse_size
from featstore.images.views import CANVAS, VIEWS
from featstore.system.figures import figure, interval, with_interval
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.paired import Difference
    from featstore.evaluation.ranking import CellResult
    from featstore.evaluation.units import Units
    from featstore.system.progress import Progress


class VariantAccuracy(NamedTuple):
    """The accuracy of one variant with one number of views, on n labelled images.

    Attributes:
        preprocess: The variant.
        views: Number of views whose probabilities are averaged.
        n: Number of images.
        top1: Share of the images, 0 to 1, whose most probable class is the right one.
        top1_ci95: 95 % interval (low, high) of `top1`. If the row may be the best, it allows for that choice.
        top5: Share of the images whose right class is among the five most probable.
    """

    preprocess: str
    views: int
    n: int
    top1: float
    top1_ci95: tuple[float, float]
    top5: float


class _Measured(NamedTuple):
    """One variant with one number of views, before the ranking."""

    variant: str
    views: int
    cell: CellResult
    top5: float


@dataclass(frozen=True, repr=False)
class LabelledCheck(Shown):
    """Which variant is right, judged by accuracy.

    Attributes:
        rows: Accuracies by variant and number of views.
        verdict: The result in words.
        published: Published (top-1, top-5) of the base as fractions; None where not known.
        skipped: Files that could not be read, with the reason.
    """

    rows: tuple[VariantAccuracy, ...]
    verdict: str
    published: tuple[float | None, float | None]
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the verdict, and a row for each variant and number of views."""
        yield self.verdict
        yield ""
        rows = []
        for row in self.rows:
            shares = figure(row.top1), interval(row.top1_ci95), figure(row.top5)
            rows.append([row.preprocess, str(row.views), str(row.n), *shares])
        yield Table(["preprocess", "views", "n", "top-1", "95 % interval", "top-5"], rows)


@pinned()
def check_labelled(
    data: OnePath,
    labels: OnePath,
    recipe: Recipe,
    variants: Sequence[str] = (),
    views: Sequence[str] = (),
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> LabelledCheck:
    """Measure top-1 and top-5 of the base of `recipe` with its ImageNet classifier.

    `labels` is a CSV `path,label` with class indices; images without a label are left out. By default all variants and
    all numbers of views are measured. The probabilities of the views are averaged, as in the papers. All views are
    crops of one canvas, by default of side size / 0.875. Raises DataError where no image has a label, and UsageError
    for unknown views and for a base without probabilities of ImageNet's classes.
    """
    from featstore.base_check.imagenet import read_labels
    from featstore.evaluation.paired import paired_difference
    from featstore.evaluation.ranking import joint_error
    from featstore.features.arrays import units_of

    cache = Cache.at(cache)
    index_of = read_labels(labels)
    found = list_files([data])
    labelled = [p for p in found.pictures if os.path.realpath(p.path) in index_of]
    if not labelled:
        raise DataError(
            f"{data}: none of its {len(found)} images is listed in {labels}; paths there are relative to its folder"
        )
    views = list(dict.fromkeys(views or VIEWS))
    _check_views(views)
    most = max(views, key=lambda name: len(VIEWS[name]))
    recipes = [with_classifier(recipe, variant, most) for variant in dict.fromkeys(variants or all_variants(recipe))]
    extraction = extract_features(found.with_pictures(labelled), recipes, cache, progress)
    pictures = extraction.manifest.pictures
    truth = [index_of[os.path.realpath(p.path)] for p in pictures]
    measured = []
    for plan in extraction.plans:
        probabilities = _probabilities(extraction, plan.recipe.preprocess, cache)
        numbers = plan.parts[0].views
        for name in views:
            columns = [numbers.index(view) for view in VIEWS[name]]
            mean = probabilities[:, columns].mean(axis=1)
            measured.append(_measure(plan.recipe.preprocess, mean, truth, len(columns)))
    units = units_of(pictures)
    error = joint_error([m.cell for m in measured], units)
    rows = _rows(measured, units, error)
    info = recipe.source().info
    published = (_share(info.top1), _share(info.top5)) if info and recipe.alpha in (None, 1.0) else (None, None)
    right_by = {(m.variant, m.views): m.cell.right for m in measured}
    compare = partial(paired_difference, units=units, error=error)
    verdict = _verdict(rows, right_by, compare, published)
    return LabelledCheck(tuple(rows), verdict, published, extraction.manifest.skipped)


def _check_views(views: Sequence[str]) -> None:
    for name in views:
        if name not in VIEWS:
            raise UsageError(f"{param('views', name)}: expected {', '.join(VIEWS)}")


def all_variants(recipe: Recipe) -> list[str]:
    """Return `keras`, where the base has a variant of its own, and all named variants that are other maps.

    A base that takes bytes cannot be given any but `raw`.
    """
    source = recipe.source()
    if source.takes_bytes:
        return ["raw"]
    info = source.info
    own = NAMED[info.preprocessing] if info else None
    return [*(["keras"] if info else []), *(name for name, map_ in NAMED.items() if map_ != own)]


def with_classifier(recipe: Recipe, variant: str, views: str) -> Recipe:
    """Return `recipe` with the classifier of its base.

    Probabilities are float32, since small ones count too. The view `one` is a crop like all others, so that numbers of
    views can be compared.
    """
    resize = recipe.resize
    if views == "one" and resize is None:
        height, width = recipe.source().default_size() if recipe.size is None else parse_size(str(recipe.size))
        resize = f"{round(height / CANVAS)}x{round(width / CANVAS)}"
    return replace(recipe, preprocess=variant, views=views, resize=resize, top=True, dtype="float32", pool=None)


def _probabilities(extraction: Extraction, variant: str, cache: Cache) -> NDArray[np.float64]:
    """Return probabilities (n, views, 1000); raise UsageError where the output of the base is anything else."""
    import numpy as np

    from featstore.bases.weights_file import IMAGENET_CLASSES
    from featstore.features.views import load_views

    [plan] = [plan for plan in extraction.plans if plan.recipe.preprocess == variant]
    rows = load_views(extraction.manifest.pictures, [plan], cache).astype(np.float64)
    if rows.ndim != 3 or rows.shape[2] != IMAGENET_CLASSES or not np.allclose(rows.sum(axis=2), 1, atol=1e-3):
        raise UsageError(
            f"{plan.recipe.model}: expected probabilities of the {IMAGENET_CLASSES} classes of ImageNet, found rows of "
            f"{'x'.join(map(str, rows.shape[2:]))}; leave {param('labels')} out to check the base without its "
            "classifier"
        )
    return rows


def _measure(variant: str, probabilities: NDArray[np.float64], truth: Sequence[int], views: int) -> _Measured:
    """Return which of the predictions `probabilities` (n, 1000) are right, and the share in the first five."""
    import numpy as np

    from featstore.evaluation.metrics import log_losses
    from featstore.evaluation.ranking import CellResult

    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = order == np.asarray(truth)[:, None]
    right = hits[:, 0].astype(float)
    loss = float(log_losses(probabilities, truth).mean())
    cell = CellResult({"preprocess": variant, "views": str(views)}, right, loss)
    return _Measured(variant, views, cell, float(hits.any(axis=1).mean()))


def _rows(measured: Sequence[_Measured], units: Units, error: float) -> list[VariantAccuracy]:
    """Return the accuracies, in the order of `measured`; the best variant is chosen at one number of views."""
    from featstore.evaluation.ranking import rank

    intervals: dict[tuple[str, int], tuple[float, float]] = {}
    rows = []
    for views in dict.fromkeys(m.views for m in measured):
        alike = [m for m in measured if m.views == views]
        intervals |= {
            (alike[r.position].variant, views): r.accuracy_ci95 for r in rank([m.cell for m in alike], units, error)
        }
    for m in measured:
        right = m.cell.right
        rows.append(
            VariantAccuracy(m.variant, m.views, len(right), float(right.mean()), intervals[m.variant, m.views], m.top5)
        )
    return rows


def _verdict(
    rows: Sequence[VariantAccuracy],
    right_by: Mapping[tuple[str, int], NDArray[np.float64]],
    compare: Callable[[NDArray[np.float64], NDArray[np.float64]], Difference],
    published: tuple[float | None, float | None],
) -> str:
    """Name the best variant, those not significantly different, the gain of more views, and the published top-1.

    Variants are compared at the smallest number of views. `compare` gives differences that hold together.
    """
    fewest, most = min(row.views for row in rows), max(row.views for row in rows)
    compared = [row for row in rows if row.views == fewest]
    best = max(compared, key=lambda row: (row.top1, row.top5))
    leads = {
        row.preprocess: compare(right_by[best.preprocess, fewest], right_by[row.preprocess, fewest])
        for row in compared
        if row.preprocess != best.preprocess
    }
    alike = [name for name, lead in leads.items() if not lead.is_significant]
    judgement = "" if not leads else " is best on these images" if alike else " is right"
    text = f"`{best.preprocess}`{judgement}: top-1 {with_interval(best.top1, best.top1_ci95)}"
    seen = "one view" if fewest == 1 else f"{fewest} views"
    text += f", top-5 {figure(best.top5)} on {best.n} images in {seen}"
    if alike:
        text += (
            f"; {quote_names(alike)} {'is' if len(alike) == 1 else 'are'} not significantly different on these images"
        )
    worse = {name: lead for name, lead in leads.items() if lead.is_significant}
    if worse:
        nearest = min(worse, key=lambda name: worse[name].value)
        text += f"; the next, `{nearest}`, is {worse[nearest].in_points()} below"
    if most > fewest:
        gain = compare(right_by[best.preprocess, most], right_by[best.preprocess, fewest])
        text += f". {most} views against {fewest}: {gain.in_points()}"
    if published[0] is not None:
        text += f". Published top-1 on all of ImageNet's validation images: {figure(published[0])}"
    return text


def quote_names(variants: Sequence[str]) -> str:
    """Return the names in backticks, as `keras`, `raw`."""
    return ", ".join(f"`{name}`" for name in variants)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
