"""Does a base look rightly fed? Judged on any photos, without labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from featstore.base_check.labelled import all_variants, names_of, with_top
from featstore.datasets.manifest import Picture, Skipped, list_files
from featstore.errors import DataError, UsageError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve, weights_state
from featstore.features.load import load_features
from featstore.images.preprocessing import parse_variant
from featstore.images.readers import make_reader
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.base_check.selftest import Judgement
    from featstore.system.progress import Progress

SAMPLE = 64  # images whose statistics are compared with those of BatchNormalization


class Looked(NamedTuple):
    """One variant over n images without labels; what its base cannot tell is None."""

    preprocess: str
    n: int
    mismatch: float | None
    classes: int | None
    commonest: str | None
    share: float | None
    entropy: float | None


@dataclass(frozen=True)
class Looks(Shown):
    """`rows` by variant; `verdict` in plain words."""

    rows: tuple[Looked, ...]
    verdict: str
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the verdict, and a row for each variant."""
        yield self.verdict
        yield ""
        table = []
        for row in self.rows:
            answers = ["-", "-", "-"]
            if row.classes is not None and row.share is not None and row.entropy is not None:
                answers = [str(row.classes), f"{row.entropy:.2f}", f"{row.share:.0%} {row.commonest}"]
            mismatch = "-" if row.mismatch is None else f"{row.mismatch:.{2 if row.mismatch < 100 else 0}f}"
            table.append([row.preprocess, str(row.n), mismatch, *answers])
        yield Table(["preprocess", "n", "mismatch", "classes", "entropy", "commonest answer"], table)


def look_at_base(
    data: str | os.PathLike[str],
    recipe: Recipe,
    variants: Sequence[str] = (),
    *,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Looks:
    """Whether the base of `recipe` looks rightly fed, and under which of `variants` (all, where none given)."""
    from featstore.base_check.imagenet import class_names
    from featstore.base_check.selftest import judge_by_mismatch, look

    cache = Cache.at(cache)
    names = list(dict.fromkeys(variants or all_variants(recipe)))
    top = has_top(recipe)
    recipes = [with_top(recipe, v, "one") if top else replace(recipe, preprocess=v) for v in names]
    extraction = extract_features(list_files([data]), recipes, cache, progress)
    outputs: dict[str, NDArray[np.float64]] = {}
    for name, features in zip(names, extraction.features, strict=True):
        rows = load_features(extraction.manifest, features.spec, cache=cache).X
        outputs[name] = rows.reshape(len(rows), -1).astype("float64")
    mismatches = _mismatches(recipes, extraction.manifest.pictures, cache)
    judgement = judge_by_mismatch(mismatches) if mismatches else _judge_outputs(outputs, top)
    if recipe.source().weights == "random" or _tells_nothing(outputs, judgement, top):
        judgement = judgement._replace(best=None)
    classes = class_names()
    looked = []
    for name, answers in outputs.items():
        seen = look(answers) if top else None
        told = (seen.classes, classes[seen.commonest], seen.share, seen.entropy) if seen else (None, None, None, None)
        looked.append(Looked(name, len(answers), mismatches.get(name), *told))
    info = recipe.source().info
    verdict = _in_words(judgement, looked, info.preprocessing if info else None)
    return Looks(tuple(looked), verdict, extraction.manifest.skipped)


def _tells_nothing(outputs: dict[str, NDArray[np.float64]], judgement: Judgement, top: bool) -> bool:
    """Whether the base sees the same in all images: shuffled weights can have the right statistics by chance."""
    from featstore.base_check.selftest import SCALES, information, variety

    score = information if top else variety
    best = outputs[judgement.best] if judgement.best else None
    return best is not None and len(best) > 1 and score(best) < SCALES[score].least


def _judge_outputs(outputs: dict[str, NDArray[np.float64]], top: bool) -> Judgement:
    from featstore.base_check.selftest import information, judge_by_score, variety

    if len(next(iter(outputs.values()))) < 2:
        raise DataError("one image is not enough to see whether a base tells images apart: give more")
    return judge_by_score(outputs, information, "predictions") if top else judge_by_score(outputs, variety, "features")


def has_top(recipe: Recipe) -> bool:
    """Whether the weights of `recipe` hold an ImageNet classifier, as far as their file tells."""
    try:
        source = replace(recipe, top=True).source()
    except UsageError:
        return False
    if source.is_file or source.weights in ("imagenet", "random"):
        return not source.is_file
    from featstore.bases.weights_file import holds_classifier

    return holds_classifier(source.weights)


def _in_words(judgement: Judgement, rows: Sequence[Looked], usual: str | None) -> str:
    if judgement.best is None:
        return (
            "none of the variants looks right: the weights may be random, or of another network; "
            "or the images are no photos"
        )
    text = f"`{judgement.best}` looks right, by its {judgement.by}"
    if judgement.best == "keras" and usual:
        text = f"`keras` (for this base `{usual}`) looks right, by its {judgement.by}"
    if judgement.alike:
        text += f"; {names_of(judgement.alike)} cannot be told apart from it on these images"
    worst = max((row for row in rows if row.share is not None), key=lambda row: row.share or 0, default=None)
    if worst and worst.preprocess != judgement.best and (worst.share or 0) > 0.2:
        text += f". Fed as `{worst.preprocess}`, it calls {worst.share:.0%} of the images {worst.commonest}"
    return text


def _mismatches(recipes: Sequence[Recipe], pictures: Sequence[Picture], cache: Cache) -> dict[str, float]:
    """By variant, on images spread over the data set; empty where the base has no BatchNormalization to ask."""
    import numpy as np

    from featstore.images.prefetch import read_file
    from featstore.system.tensorflow_loader import load_tensorflow

    source, spec = recipes[0].source(), resolve(recipes[0], cache.digests)
    if source.is_pixels:
        return {}
    load_tensorflow()
    from featstore.base_check.batchnorm import mismatch
    from featstore.bases.build import build

    reading = spec.reading
    read = make_reader(reading)
    chosen = pictures[:: max(1, len(pictures) // SAMPLE)][:SAMPLE]
    images = np.stack([read(read_file(p.path)[0]) for p in chosen])
    model = build(source, reading.height, reading.width, "none", weights_state(source, reading.height, reading.width))
    found: dict[str, float] = {}
    for recipe in recipes:
        trained_with = source.info.preprocessing if source.info else None
        value = mismatch(model, parse_variant(recipe.preprocess, trained_with)[1].apply(images))
        if value is None:
            return {}
        found[recipe.preprocess] = value
    return found
