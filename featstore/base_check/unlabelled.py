"""The check of a base without labels: whether its preprocessing looks right on any photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.findings import Finding
from featstore.base_check.labelled import describe_reading
from featstore.base_check.variants import Variants, all_variants, choose_variants, has_classifier, with_classifier
from featstore.bases import keras_file
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.errors import UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe, weights_state
from featstore.features.load import load_features
from featstore.images.preprocessing import parse_variant
from featstore.images.readers import make_reader
from featstore.objects.places import folder_of
from featstore.system.figures import loss, percent
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.system.progress import Progress

SAMPLE = 64  # images whose statistics are compared with those of BatchNormalization
_PLAIN = 1.0  # levels: the deviation of the pixels of an image, below which it shows nothing


class VariantStatistics(NamedTuple):
    """The statistics of one variant on n images; None where the base has no such layer or no classifier.

    Attributes:
        preprocess: The variant.
        n: Number of images.
        mismatch: Distance from the statistics in the first BatchNormalization, in nats.
        classes: Number of classes that are predicted for any image.
        commonest: Name of the class that is predicted most often.
        commonest_class: Its number.
        share: Share of the images, 0 to 1, for which it is predicted.
        entropy: Mean entropy of a prediction, in nats.
        information: Mutual information between images and predictions, in nats.
        diversity: Without a classifier: 1 - the mean cosine between the features of different images.
    """

    preprocess: str
    n: int
    mismatch: float | None
    classes: int | None = None
    commonest: str | None = None
    commonest_class: int | None = None
    share: float | None = None
    entropy: float | None = None
    information: float | None = None
    diversity: float | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class UnlabelledCheck(Shown):
    """Which variant looks right, judged by statistics.

    Attributes:
        finding: What was found, as one of the words in `Finding`.
        best: The variant that is named; None where none looks right.
        alike: Variants that fit these images about as well.
        wrong: Variants that do not.
        trained_with: What the base was trained with; None where that is not known.
        criterion: What the judgement is by: `batch statistics`, `predictions` or `features`.
        rows: Statistics by variant.
        verdict: The result in words.
        class_index: File that the names of the classes are from.
        reading: How images were read, as in the spec of the first row.
        notes: Remarks on the outputs and on labels that could not be used.
        skipped: Files that could not be read, with the reason.
    """

    finding: Finding
    best: str | None
    alike: tuple[str, ...]
    wrong: tuple[str, ...]
    trained_with: str | None
    criterion: str
    rows: tuple[VariantStatistics, ...]
    verdict: str
    class_index: str | None
    reading: Mapping[str, Any]
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the verdict, a row for each variant, and how it was measured."""
        yield self.verdict
        yield ""
        yield _predictions(self.rows) if self.rows[0].classes is not None else _features(self.rows)
        yield ""
        yield f"images: {describe_reading(self.reading)}"
        yield from self.notes

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, as `featstore check-base --json` prints it."""
        return {
            **asdict(self),
            "rows": [row._asdict() for row in self.rows],
            "skipped": [item._asdict() for item in self.skipped],
        }


def _predictions(rows: Sequence[VariantStatistics]) -> Table:
    table = []
    for row in rows:
        seen = ["-", "-", "-"]
        if row.classes is not None and row.share is not None and row.entropy is not None:
            seen = [str(row.classes), loss(row.entropy, 2), f"{percent(row.share)} {row.commonest}"]
        table.append([row.preprocess, str(row.n), _number(row.mismatch), *seen])
    return Table(["preprocess", "n", "mismatch", "classes", "entropy", "most common class"], table)


def _features(rows: Sequence[VariantStatistics]) -> Table:
    table = [[row.preprocess, str(row.n), _number(row.mismatch), _number(row.diversity)] for row in rows]
    return Table(["preprocess", "n", "mismatch", "diversity"], table)


def _number(value: float | None) -> str:
    return "-" if value is None else loss(value, 2 if value < 100 else 0)


def check_unlabelled(
    found: Manifest,
    recipe: Recipe,
    asked: Sequence[str],
    index: ClassIndex,
    cache: Cache,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> UnlabelledCheck:
    """Check with which of the variants that were `asked` for (by default all) the preprocessing looks right.

    What the base was trained with is always measured too. Where that is not known, the statistics of all named variants
    are: they cost little, and a single one says nothing.
    """
    from featstore.base_check.judgement import diversity, mutual_information, prediction_statistics
    from featstore.base_check.outputs import are_probabilities, to_probabilities
    from featstore.base_check.unlabelled_verdict import Evidence, judge_statistics

    variants = choose_variants(recipe, asked)
    top = has_classifier(recipe)  # the output is then probabilities, else features
    if not top:
        recipe = _without_classifier(recipe, cache)
    measured = variants.measured
    recipes = [with_classifier(recipe, v, "one") if top else replace(recipe, preprocess=v) for v in measured]
    extraction = extract_features(found, recipes, cache, progress)
    pictures = extraction.manifest.pictures
    outputs: dict[str, NDArray[np.float64]] = {}
    for name, features in zip(measured, extraction.features, strict=True):
        X = load_features(extraction.manifest, features.spec, cache=cache).X
        outputs[name] = X.reshape(len(X), -1).astype("float64")
    if not top and all(map(are_probabilities, outputs.values())):  # a user's classifier
        top, outputs = True, {name: to_probabilities(rows)[0] for name, rows in outputs.items()}
    sample = _statistics(recipes[0], _to_compare(recipe, variants), pictures, cache)
    classes = next(iter(outputs.values())).shape[1] if top else None
    index = index.for_classes(classes)
    evidence = Evidence(
        variants=variants,
        outputs=outputs,
        are_predictions=top,
        mismatches=sample.mismatches,
        is_untrained=sample.is_untrained or recipe.source().weights == "random",
        are_plain=sample.are_plain,
        images=len({p.digest for p in pictures}),
        index=index,
    )
    judgement, criterion = judge_statistics(evidence)
    rows = []
    for name, output in outputs.items():
        row = VariantStatistics(name, len(output), sample.mismatches.get(name))
        if top:
            seen = prediction_statistics(output)
            row = row._replace(
                classes=seen.classes,
                commonest=index.describe(seen.commonest),
                commonest_class=seen.commonest,
                share=seen.share,
                entropy=seen.entropy,
                information=mutual_information(output),
            )
        elif len(output) > 1:
            row = row._replace(diversity=diversity(output))
        rows.append(row)
    looked_at = min(SAMPLE, len(pictures))
    rows += [
        VariantStatistics(name, looked_at, value) for name, value in sample.mismatches.items() if name not in outputs
    ]
    return UnlabelledCheck(
        **judgement._asdict(),
        trained_with=variants.own_name,
        criterion=criterion,
        rows=tuple(rows),
        class_index=index.source or None,
        reading=extraction.plans[0].spec.reading.describe(),
        notes=tuple(notes),
        skipped=extraction.manifest.skipped,
    )


class _Sample(NamedTuple):
    """What up to `SAMPLE` images say.

    mismatches: of each variant; empty where the base has no trained BatchNormalization. is_untrained: whether it has
    one that holds no statistics. are_plain: whether the images are surfaces of one colour.
    """

    mismatches: dict[str, float]
    is_untrained: bool
    are_plain: bool


def _to_compare(recipe: Recipe, variants: Variants) -> list[str]:
    """Return the variants whose statistics are compared: where none is known to be right, all named ones."""
    if variants.own is not None:
        return list(variants.measured)
    return list(dict.fromkeys([*variants.measured, *all_variants(recipe)]))


def _statistics(recipe: Recipe, variants: Sequence[str], pictures: Sequence[Picture], cache: Cache) -> _Sample:
    """Return what images say that are spread over the data set."""
    import numpy as np

    from featstore.images.prefetch import read_again

    source, spec = recipe.source(), resolve_recipe(recipe, cache.digests)
    read = make_reader(spec.reading)
    images = np.stack([read(read_again(p)) for p in spread(pictures, SAMPLE)])
    are_plain = bool((images.std(axis=(1, 2)).max(axis=1) < _PLAIN).all())
    if source.is_pixels:
        return _Sample({}, False, are_plain)
    model = _model(recipe, cache)
    from featstore.base_check.batchnorm import FirstNormalization

    first = FirstNormalization(model, images.shape[1:])
    if not first.is_trained:
        return _Sample({}, first.is_trained is False, are_plain)
    trained_with = source.info.preprocessing if source.info else None
    maps = {name: parse_variant(name, trained_with)[1] for name in variants}
    return _Sample({name: first.mismatch(map_.apply(images)) for name, map_ in maps.items()}, False, are_plain)


def _model(recipe: Recipe, cache: Cache) -> Any:
    from featstore.system.tensorflow_loader import load_tensorflow

    load_tensorflow()
    from featstore.bases.build import load_held

    source, spec = recipe.source(), resolve_recipe(recipe, cache.digests)
    height, width = spec.reading.height, spec.reading.width
    return load_held(source, height, width, "none", weights_state(source, height, width), spec.weights).model


def _without_classifier(recipe: Recipe, cache: Cache) -> Recipe:
    """Return the recipe of the output of the base; of a user's network it need not be a map that can be pooled."""
    source = recipe.source()
    if not source.is_file:
        return recipe
    whole = replace(recipe, pool="none", preprocess="raw")
    shape = _model(whole, cache).output_shape
    if isinstance(shape, list | dict):
        raise UsageError(f"{source.model}: expected one output, found {len(shape)}; save a model with one of them")
    is_map = len(shape) == 4 and keras_file.channels_first(Path(source.model)) is None
    return recipe if is_map else whole


def spread(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """Return at most `most` pictures, as many of each folder as there can be, evenly spaced within it.

    Folders are classes where there are any, so each class counts, whatever its size and its place in the alphabet.
    """
    folders: dict[str, list[Picture]] = {}
    for picture in pictures:
        folders.setdefault(folder_of(picture.path), []).append(picture)
    chosen: list[Picture] = []
    for left, folder in zip(range(len(folders), 0, -1), sorted(folders.values(), key=len), strict=True):
        number = min(len(folder), (most - len(chosen)) // left)
        chosen += [folder[place * len(folder) // number] for place in range(number)]
    return chosen
