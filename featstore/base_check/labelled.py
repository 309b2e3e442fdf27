"""The check of a base with labels: the accuracy of its classifier with each variant of the preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.findings import Finding
from featstore.base_check.labels import Labels
from featstore.base_check.variants import choose_variants, with_classifier
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.errors import UsageError, param
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import extract_features
from featstore.extraction.plan import Plan, scales_of
from featstore.extraction.recipe import Recipe
from featstore.images.reading import Size, parse_size
from featstore.images.views import VIEWS
from featstore.system.figures import figure, interval, percent
from featstore.system.text import Shown, Table, count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.base_check.accuracies import Measured, VariantAccuracy
    from featstore.system.progress import Progress


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelledCheck(Shown):
    """Which variant is right, judged by accuracy.

    Attributes:
        finding: What was found, as one of the words in `Finding`.
        best: The variant that is named; None where none is right.
        alike: Variants that are not significantly different from it.
        wrong: Variants that are significantly worse.
        trained_with: What the base was trained with; None where that is not known.
        rows: Accuracies by variant, sizes and number of views.
        verdict: The result in words.
        classes: Number of classes.
        chance: Accuracy of a guess.
        published: Published (top-1, top-5) of the base as fractions; None where not known.
        labels: Where the labels are from.
        class_index: File that the names of the classes are from.
        reading: How images were read, as in the spec of the first row.
        notes: Remarks on the outputs and on images without a label.
        skipped: Files that could not be read, with the reason.
    """

    finding: Finding
    best: str | None
    alike: tuple[str, ...]
    wrong: tuple[str, ...]
    trained_with: str | None
    rows: tuple[VariantAccuracy, ...]
    verdict: str
    classes: int
    chance: float
    published: tuple[float | None, float | None]
    labels: str
    class_index: str | None
    reading: Mapping[str, Any]
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the verdict, a row for each variant and number of views, and how they were measured."""
        yield self.verdict
        yield ""
        several = len({row.scales for row in self.rows}) > 1
        table = []
        for row in self.rows:
            shares = figure(row.top1), interval(row.top1_ci95), figure(row.top5)
            sizes = ["+".join(row.scales)] if several else []
            common = f"{percent(row.share)} {row.commonest}"
            table.append([row.preprocess, *sizes, str(row.views), str(row.n), *shares, common])
        sizes = ["sizes"] if several else []
        yield Table(["preprocess", *sizes, "views", "n", "top-1", "95 % interval", "top-5", "most common class"], table)
        yield ""
        likewise = ", the other sizes likewise" if several else ""
        yield f"labels: {self.labels}; images: {describe_reading(self.reading)}{likewise}"
        yield from self.notes

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, as `featstore check-base --json` prints it."""
        return {
            **asdict(self),
            "rows": [row._asdict() for row in self.rows],
            "published": dict(zip(("top1", "top5"), self.published, strict=True)),
            "skipped": [item._asdict() for item in self.skipped],
        }


def check_labelled(
    found: Manifest,
    labels: Labels,
    recipe: Recipe,
    asked: Sequence[str],
    views: Sequence[str],
    index: ClassIndex,
    cache: Cache,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> LabelledCheck:
    """Measure top-1 and top-5 of the classifier of the base of `recipe`; images without a label are left out.

    By default all variants and all numbers of views are measured, and always what the base was trained with. The
    probabilities of the views are averaged, as in the papers. All views are crops of one canvas, by default of side
    size / 0.875. With scales, the row of the first size is followed by that of all sizes, averaged.

    Raises UsageError for unknown views, and for a base whose output is not a classifier of these labels.
    """
    import numpy as np

    from featstore.base_check.accuracies import accuracies_of
    from featstore.base_check.labelled_verdict import Evidence, judge_accuracies
    from featstore.evaluation.ranking import joint_error
    from featstore.features.arrays import units_of

    views = list(dict.fromkeys(views or VIEWS))
    check_views(views)
    most = max(views, key=lambda name: len(VIEWS[name]))
    variants = choose_variants(recipe, asked)
    sizes = _sizes(recipe)
    pairs = [(variant, size) for variant in variants.measured for size in sizes]
    recipes = [_at_size(recipe, variant, most, size) for variant, size in pairs]
    pictures = [p for p in found.pictures if p.path in labels.by_path]
    unlabelled = len(found.pictures) - len(pictures)
    extraction = extract_features(found.with_pictures(pictures), recipes, cache, progress)
    pictures = list(extraction.manifest.pictures)
    truth = np.array([labels.by_path[p.path] for p in pictures], np.intp)
    notes = [*notes, *([f"{count(unlabelled, 'image')} without a label: left out"] if unlabelled else [])]
    measured: list[Measured] = []
    for start in range(0, len(recipes), len(sizes)):
        found_now, told = _measure_variant(pictures, extraction.plans[start : start + len(sizes)], views, truth, cache)
        measured += found_now
        notes += [note for note in told if note not in notes]
    classes = measured[0].outputs
    index = index.for_classes(classes)
    units = units_of(pictures)
    error = joint_error([m.cell for m in measured], units)
    rows = accuracies_of(measured, units, error, index)
    info = recipe.source().info
    published = (_share(info.top1), _share(info.top5)) if info and recipe.alpha in (None, 1.0) else (None, None)
    evidence = Evidence(
        measured=measured,
        rows=rows,
        variants=variants,
        truth=truth,
        classes=classes,
        index=index,
        units=units,
        error=error,
        images=len({p.digest for p in pictures}),
        published=published[0],
        is_published=info is not None,
        has_random_weights=recipe.source().weights == "random",
    )
    judgement = judge_accuracies(evidence)
    return LabelledCheck(
        **judgement._asdict(),
        trained_with=variants.own_name,
        rows=tuple(rows),
        classes=classes,
        chance=evidence.chance(),
        published=published,
        labels=labels.source,
        class_index=index.source or None,
        reading=extraction.plans[0].spec.reading.describe(),
        notes=tuple(notes),
        skipped=extraction.manifest.skipped,
    )


def check_views(views: Sequence[str]) -> None:
    """Raise UsageError for views that are not known."""
    for name in views:
        if name not in VIEWS:
            raise UsageError(f"{param('views', name)}: expected {', '.join(VIEWS)}")


def describe_reading(reading: Mapping[str, Any]) -> str:
    """Return how images were read, from the description of a `Reading`."""
    size = "x".join(map(str, reading["size"]))
    how = {"squash": "squashed", "crop": "cropped", "pad": "padded"}[reading["fit"]]
    if resize := reading.get("resize"):
        return f"{how} to {'x'.join(map(str, resize))} ({reading['interpolation']}), crops of {size} from that"
    return f"{how} to {size} ({reading['interpolation']})"


def _sizes(recipe: Recipe) -> list[Size | None]:
    """Return the size of `recipe` and its scales; raises UsageError where two are the same."""
    scales = scales_of(recipe)
    own = recipe.source().default_size() if recipe.size is None else parse_size(str(recipe.size))
    sizes = [own, *map(parse_size, scales)]
    if len(set(sizes)) < len(sizes):
        raise UsageError(
            f"{param('scales', recipe.scales)}: each size may be named once, and not that of {param('size')} again"
        )
    return [recipe.size, *scales]


def _at_size(recipe: Recipe, variant: str, views: str, size: Size | None) -> Recipe:
    return with_classifier(replace(recipe, size=size), variant, views)


def _size_text(plan: Plan) -> str:
    return f"{plan.spec.reading.height}x{plan.spec.reading.width}"


def _measure_variant(
    pictures: Sequence[Picture], plans: Sequence[Plan], views: Sequence[str], truth: NDArray[np.intp], cache: Cache
) -> tuple[list[Measured], list[str]]:
    """Return the accuracies of one variant, whose sizes are `plans`, and remarks; one size is in memory at a time."""
    from featstore.base_check.accuracies import measure

    variant, numbers = plans[0].recipe.preprocess, plans[0].parts[0].views
    totals: dict[str, NDArray[np.float64]] = {}
    measured, notes = [], []
    for done, plan in enumerate(plans, 1):
        probabilities, note = _probabilities(pictures, plan, truth, cache)
        notes += [note] if note else []
        for name in views:
            mean = probabilities[:, [numbers.index(view) for view in VIEWS[name]]].mean(axis=1)
            totals[name] = totals[name] + mean if name in totals else mean
        if done in (1, len(plans)):
            scales = tuple(map(_size_text, plans[:done]))
            measured += [measure(variant, scales, len(VIEWS[name]), totals[name] / done, truth) for name in views]
    return measured, notes


def _probabilities(
    pictures: Sequence[Picture], plan: Plan, truth: NDArray[np.intp], cache: Cache
) -> tuple[NDArray[np.float64], str | None]:
    """Return probabilities (n, views, classes), with what was done to the outputs.

    Raises UsageError where the output is not a vector, or has fewer classes than there are labels.
    """
    import numpy as np

    from featstore.base_check.outputs import to_probabilities
    from featstore.features.views import load_views

    rows = load_views(pictures, [plan], cache).astype(np.float64)
    if rows.ndim != 3:
        raise UsageError(
            f"{plan.recipe.model}: expected a classifier, found an output of {'x'.join(map(str, rows.shape[2:]))}; "
            f"leave {param('labels')} out to check the base by its features"
        )
    probabilities, note = to_probabilities(rows)
    if truth.max() >= probabilities.shape[2]:
        raise UsageError(
            f"{plan.recipe.model}: expected a classifier of the classes that the labels name, found "
            f"{probabilities.shape[2]} outputs and the label {truth.max()}, counted from 0; leave {param('labels')} "
            "out to check the base without them"
        )
    return probabilities, note and f"{plan.recipe.model}: {note}"


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
