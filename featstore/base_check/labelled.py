"""Does a base reach its figures, and under which preprocessing? Its ImageNet classifier over labelled images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Skipped, list_files
from featstore.errors import DataError, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import Extraction, extract_features
from featstore.extraction.recipe import Recipe
from featstore.images.preprocessing import NAMED
from featstore.images.reading import parse_size
from featstore.images.views import CANVAS, VIEWS
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.system.progress import Progress


class Checked(NamedTuple):
    """One variant in one number of views over n labelled images."""

    preprocess: str
    views: int
    n: int
    top1: float
    top1_ci95: tuple[float, float]
    top5: float


@dataclass(frozen=True)
class Check(Shown):
    """`rows` by variant and views; `verdict` in plain words; `published` top-1 and top-5 as fractions, where known."""

    rows: tuple[Checked, ...]
    verdict: str
    published: tuple[float | None, float | None]
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the verdict, and a row for each variant and number of views."""
        yield self.verdict
        yield ""
        rows = []
        for row in self.rows:
            low, high = row.top1_ci95
            shown = f"{low:.3f} to {high:.3f}"
            rows.append([row.preprocess, str(row.views), str(row.n), f"{row.top1:.3f}", shown, f"{row.top5:.3f}"])
        yield Table(["preprocess", "views", "n", "top-1", "95 % interval", "top-5"], rows)


def check_labelled(
    data: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    recipe: Recipe,
    variants: Sequence[str] = (),
    views: Sequence[str] = (),
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Check:
    """Top-1 and top-5 of the base of `recipe` with its ImageNet classifier.

    Under `variants` and in `views`, or all there are where none are given.

    labels: a CSV `path,label` with class indices; images without a label are left out. The probabilities of the views
    are averaged, as in the papers. All views come from crops of one canvas, by default of side size / 0.875.
    """
    from featstore.base_check.imagenet import read_labels

    cache = Cache.at(cache)
    index_of = read_labels(labels)
    found = list_files([data])
    labelled = [p for p in found.pictures if os.path.realpath(p.path) in index_of]
    if not labelled:
        raise DataError(f"{data}: none of its {len(found)} images is named in {labels}; paths there are relative to it")
    views = list(dict.fromkeys(views or VIEWS))
    for name in views:
        if name not in VIEWS:
            raise UsageError(f"{param('views', name)}: expected {', '.join(VIEWS)}")
    most = max(views, key=lambda name: len(VIEWS[name]))
    recipes = [with_top(recipe, variant, most) for variant in dict.fromkeys(variants or all_variants(recipe))]
    extraction = extract_features(found.with_pictures(labelled), recipes, cache, progress)
    pictures = extraction.manifest.pictures
    truth = [index_of[os.path.realpath(p.path)] for p in pictures]
    rows, right = [], {}
    for plan in extraction.plans:
        probabilities = _probabilities(extraction, plan.recipe.preprocess, cache)
        numbers = plan.parts[0].views
        for name in views:
            chosen = [numbers.index(view) for view in VIEWS[name]]
            row, hits = _measure(plan.recipe.preprocess, probabilities[:, chosen].mean(axis=1), truth, len(chosen))
            rows.append(row)
            right[plan.recipe.preprocess, len(chosen)] = hits
    info = recipe.source().info
    published = (_share(info.top1), _share(info.top5)) if info and recipe.alpha in (None, 1.0) else (None, None)
    return Check(tuple(rows), _verdict(rows, right, published), published, extraction.manifest.skipped)


def all_variants(recipe: Recipe) -> list[str]:
    """`keras`, where the base says what that is, and all named variants that are another map."""
    info = recipe.source().info
    own = NAMED[info.preprocessing] if info else None
    return [*(["keras"] if info else []), *(name for name, map_ in NAMED.items() if map_ != own)]


def with_top(recipe: Recipe, variant: str, views: str) -> Recipe:
    """float32, since the small probabilities count too; `one` is a crop as well, so that all views are comparable."""
    resize = recipe.resize
    if views == "one" and resize is None:
        height, width = recipe.source().default_size() if recipe.size is None else parse_size(str(recipe.size))
        resize = f"{round(height / CANVAS)}x{round(width / CANVAS)}"
    return replace(recipe, preprocess=variant, views=views, resize=resize, top=True, dtype="float32", pool=None)


def _probabilities(extraction: Extraction, variant: str, cache: Cache) -> NDArray[np.float64]:
    """(n, views, 1000); raises UsageError where the base does not give probabilities of ImageNet's classes."""
    import numpy as np

    from featstore.bases.weights_file import CLASSES
    from featstore.features.views import load_views

    [plan] = [plan for plan in extraction.plans if plan.recipe.preprocess == variant]
    rows = load_views(extraction.manifest.pictures, [plan], cache).astype(np.float64)
    if rows.ndim != 3 or rows.shape[2] != CLASSES or not np.allclose(rows.sum(axis=2), 1, atol=1e-3):
        raise UsageError(
            f"{plan.recipe.model}: expected probabilities of the {CLASSES} classes of ImageNet, found rows of "
            f"{'x'.join(map(str, rows.shape[2:]))}; leave {param('labels')} out to look at the base without its "
            "classifier"
        )
    return rows


def _measure(
    variant: str, probabilities: NDArray[np.float64], truth: Sequence[int], views: int
) -> tuple[Checked, NDArray[np.float64]]:
    import numpy as np

    from featstore.evaluation.metrics import wilson_interval

    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = order == np.asarray(truth)[:, None]
    right = hits[:, 0].astype(float)
    interval = wilson_interval(float(right.sum()), len(right))
    row = Checked(variant, views, len(right), float(right.mean()), interval, float(hits.any(axis=1).mean()))
    return row, right


def _verdict(
    rows: Sequence[Checked],
    right: Mapping[tuple[str, int], NDArray[np.float64]],
    published: tuple[float | None, float | None],
) -> str:
    """The best variant at the fewest views, those that are as good, what more views add, and the published figure."""
    from featstore.evaluation.paired import paired_difference

    fewest, most = min(row.views for row in rows), max(row.views for row in rows)
    plain = [row for row in rows if row.views == fewest]
    best = max(plain, key=lambda row: (row.top1, row.top5))
    text = f"`{best.preprocess}` is right: top-1 {best.top1:.3f} [{best.top1_ci95[0]:.3f}, {best.top1_ci95[1]:.3f}]"
    text += f", top-5 {best.top5:.3f} on {best.n} images" + (" in one view" if fewest == 1 else f" in {fewest} views")
    leads = {
        row.preprocess: paired_difference(right[best.preprocess, fewest], right[row.preprocess, fewest])
        for row in plain
        if row.preprocess != best.preprocess
    }
    alike = [name for name, lead in leads.items() if not lead.tells_apart]
    if alike:
        text += f"; {names_of(alike)} cannot be told apart from it on these images"
    clear = {name: lead for name, lead in leads.items() if lead.tells_apart}
    if clear:
        nearest = min(clear, key=lambda name: clear[name].value)
        text += f"; the next, `{nearest}`, is {clear[nearest].in_points()} below"
    if most > fewest:
        gain = paired_difference(right[best.preprocess, most], right[best.preprocess, fewest])
        text += f". {most} views against {fewest}: {gain.in_points()}"
    if published[0] is not None:
        text += f". Published top-1 on all of ImageNet's validation images: {published[0]:.3f}"
    return text


def names_of(variants: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in variants)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
