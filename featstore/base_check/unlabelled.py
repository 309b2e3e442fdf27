"""The check of a base without labels: whether its preprocessing looks right on any photos."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from featstore.base_check.labelled import all_variants, quote_names, with_classifier
from featstore.datasets.manifest import Picture, Skipped, list_files
from featstore.errors import DataError, UsageError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe, weights_state
from featstore.features.load import load_features
from featstore.images.preprocessing import parse_variant
from featstore.images.readers import make_reader
from featstore.system.figures import loss, percent
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.base_check.judgement import Judgement
    from featstore.system.progress import Progress

SAMPLE = 64  # images whose statistics are compared with those of BatchNormalization


class VariantStatistics(NamedTuple):
    """The statistics of one variant on n images; None where the base has no such layer or no classifier.

    Attributes:
        preprocess: The variant.
        n: Number of images.
        mismatch: Distance from the statistics in the first BatchNormalization, in nats.
        classes: Number of classes that are predicted for any image.
        commonest: Name of the class that is predicted most often.
        share: Share of the images, 0 to 1, for which it is predicted.
        entropy: Mean entropy of a prediction, in nats.
    """

    preprocess: str
    n: int
    mismatch: float | None
    classes: int | None
    commonest: str | None
    share: float | None
    entropy: float | None


@dataclass(frozen=True, repr=False)
class UnlabelledCheck(Shown):
    """Which variant looks right, judged by statistics.

    Attributes:
        rows: Statistics by variant.
        verdict: The result in words.
        skipped: Files that could not be read, with the reason.
    """

    rows: tuple[VariantStatistics, ...]
    verdict: str
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the verdict, and a row for each variant."""
        yield self.verdict
        yield ""
        table = []
        for row in self.rows:
            predictions = ["-", "-", "-"]
            if row.classes is not None and row.share is not None and row.entropy is not None:
                predictions = [str(row.classes), loss(row.entropy, 2), f"{percent(row.share)} {row.commonest}"]
            mismatch = "-" if row.mismatch is None else loss(row.mismatch, 2 if row.mismatch < 100 else 0)
            table.append([row.preprocess, str(row.n), mismatch, *predictions])
        yield Table(["preprocess", "n", "mismatch", "classes", "entropy", "most common class"], table)


@pinned()
def check_unlabelled(
    data: OnePath,
    recipe: Recipe,
    variants: Sequence[str] = (),
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> UnlabelledCheck:
    """Check with which of `variants` (by default all) the preprocessing of the base of `recipe` looks right.

    Raises DataError where one image is all there is and the base has no BatchNormalization.
    """
    from featstore.base_check.imagenet import class_names
    from featstore.base_check.judgement import judge_by_mismatch, prediction_statistics

    cache = Cache.at(cache)
    names = list(dict.fromkeys(variants or all_variants(recipe)))
    top = has_classifier(recipe)  # the output is then probabilities, else features
    recipes = [with_classifier(recipe, v, "one") if top else replace(recipe, preprocess=v) for v in names]
    extraction = extract_features(list_files([data]), recipes, cache, progress)
    outputs: dict[str, NDArray[np.float64]] = {}
    for name, features in zip(names, extraction.features, strict=True):
        X = load_features(extraction.manifest, features.spec, cache=cache).X
        outputs[name] = X.reshape(len(X), -1).astype("float64")
    mismatches = _mismatches(recipes, extraction.manifest.pictures, cache)
    judgement = judge_by_mismatch(mismatches) if mismatches else _judge_outputs(outputs, top)
    if recipe.source().weights == "random" or _outputs_are_alike(outputs, judgement, top):
        judgement = judgement._replace(best=None)
    names_of_classes = class_names()
    rows = []
    for name, output in outputs.items():
        values: tuple[int | None, str | None, float | None, float | None] = (None, None, None, None)
        if top:
            found = prediction_statistics(output)
            values = found.classes, names_of_classes[found.commonest], found.share, found.entropy
        rows.append(VariantStatistics(name, len(output), mismatches.get(name), *values))
    info = recipe.source().info
    verdict = _in_words(judgement, rows, info.preprocessing if info else None)
    return UnlabelledCheck(tuple(rows), verdict, extraction.manifest.skipped)


def _outputs_are_alike(outputs: dict[str, NDArray[np.float64]], judgement: Judgement, top: bool) -> bool:
    """Return whether the base sees the same in all images. Shuffled weights can have the right statistics by chance."""
    from featstore.base_check.judgement import THRESHOLDS, diversity, mutual_information

    score = mutual_information if top else diversity
    best = outputs[judgement.best] if judgement.best else None
    return best is not None and len(best) > 1 and score(best) < THRESHOLDS[score].minimum


def _judge_outputs(outputs: dict[str, NDArray[np.float64]], top: bool) -> Judgement:
    from featstore.base_check.judgement import diversity, judge_by_score, mutual_information

    if len(next(iter(outputs.values()))) < 2:
        raise DataError(
            "expected at least 2 images, found 1: the check compares what the base sees in different images"
        )
    if top:
        return judge_by_score(outputs, mutual_information, "predictions")
    return judge_by_score(outputs, diversity, "features")


def has_classifier(recipe: Recipe) -> bool:
    """Return whether the weights of `recipe` hold an ImageNet classifier, without building the network."""
    try:
        source = replace(recipe, top=True).source()
    except UsageError:
        return False
    if source.is_file or source.weights in ("imagenet", "random"):
        return not source.is_file
    from featstore.bases.weights_file import holds_classifier

    return holds_classifier(source.weights)


def _in_words(judgement: Judgement, rows: Sequence[VariantStatistics], own_variant: str | None) -> str:
    if judgement.best is None:
        return (
            "no variant looks right: the weights may be random or belong to another network, "
            "or the images may not be photos"
        )
    own = f" (for this base `{own_variant}`)" if judgement.best == "keras" and own_variant else ""
    text = f"`{judgement.best}`{own} looks right, judged by {judgement.criterion}"
    if alike := judgement.alike:
        text += f"; {quote_names(alike)} fit{'s' if len(alike) == 1 else ''} these images about as well"
    worst = max((row for row in rows if row.share is not None), key=lambda row: row.share or 0, default=None)
    if worst and worst.preprocess != judgement.best and (worst.share or 0) > 0.2:
        text += (
            f". With `{worst.preprocess}`, it predicts {worst.commonest} for {percent(worst.share or 0)} of the images"
        )
    return text


def _mismatches(recipes: Sequence[Recipe], pictures: Sequence[Picture], cache: Cache) -> dict[str, float]:
    """Return the mismatch of each variant on up to `SAMPLE` images, spread over the data set.

    It is empty where the base has no trained BatchNormalization.
    """
    import numpy as np

    from featstore.images.prefetch import read_again
    from featstore.system.tensorflow_loader import load_tensorflow

    source, spec = recipes[0].source(), resolve_recipe(recipes[0], cache.digests)
    if source.is_pixels:
        return {}
    load_tensorflow()
    from featstore.base_check.batchnorm import mismatch
    from featstore.bases.build import load_held

    reading = spec.reading
    read = make_reader(reading)
    images = np.stack([read(read_again(p)) for p in spread(pictures, SAMPLE)])
    state = weights_state(source, reading.height, reading.width)
    model = load_held(source, reading.height, reading.width, "none", state, spec.weights).model
    found: dict[str, float] = {}
    for recipe in recipes:
        trained_with = source.info.preprocessing if source.info else None
        value = mismatch(model, parse_variant(recipe.preprocess, trained_with)[1].apply(images))
        if value is None:
            return {}
        found[recipe.preprocess] = value
    return found


def spread(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """Return at most `most` pictures, as many of each folder as there can be, evenly spaced within it.

    Folders are classes where there are any, so each class counts, whatever its size and its place in the alphabet.
    """
    folders: dict[str, list[Picture]] = {}
    for picture in pictures:
        folders.setdefault(os.path.dirname(picture.path), []).append(picture)
    chosen: list[Picture] = []
    for left, folder in zip(range(len(folders), 0, -1), sorted(folders.values(), key=len), strict=True):
        number = min(len(folder), (most - len(chosen)) // left)
        chosen += [folder[place * len(folder) // number] for place in range(number)]
    return chosen
