"""The verdict of a check without labels.

The statistics of BatchNormalization are an absolute bar, if a coarse one: a wrong variant may be below it, so what the
base was trained with is always in the comparison. Predictions and features can only speak against a variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.findings import FEW_IMAGES, Finding, Judgement
from featstore.base_check.judgement import (
    PHOTO_MISMATCH,
    THRESHOLDS,
    Choice,
    diversity,
    judge_by_mismatch,
    judge_by_score,
    mutual_information,
    prediction_statistics,
)
from featstore.base_check.labelled_verdict import describe_predictions
from featstore.base_check.variants import Variants, quote_names
from featstore.system.figures import loss, percent
from featstore.system.text import count

_COMMON = 0.2  # share of the images with one prediction, from which it is told


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the verdict follows from.

    outputs: of each measured variant, (n, classes) predictions or (n, width) features. mismatches: with the first
    BatchNormalization; empty where there is none. images: number of different images.
    """

    variants: Variants
    outputs: Mapping[str, NDArray[np.float64]]
    are_predictions: bool
    mismatches: Mapping[str, float]
    is_untrained: bool
    are_plain: bool
    images: int
    index: ClassIndex

    def differs(self, variant: str) -> bool:
        """Return whether the base sees different things in the images. Shuffled weights may have right statistics."""
        score = mutual_information if self.are_predictions else diversity
        rows = self.outputs[variant]
        return len(rows) < 2 or score(rows) >= THRESHOLDS[score].minimum


def judge_statistics(evidence: Evidence) -> tuple[Judgement, str]:
    """Return what the statistics say, and the criterion in words."""
    by_mismatch = bool(evidence.mismatches)
    criterion = "batch statistics" if by_mismatch else "predictions" if evidence.are_predictions else "features"
    return _judge(evidence, criterion), criterion


def _judge(evidence: Evidence, criterion: str) -> Judgement:
    if evidence.is_untrained:
        text = "no variant looks right: the weights are random or were never trained"
        return _none("weights do not fit", text + _told(evidence, None))
    if evidence.are_plain:
        return _none("cannot tell", "cannot tell: the images are surfaces of one colour, photos are needed")
    if evidence.images < FEW_IMAGES:
        few = f"{count(evidence.images, 'different image')} are too few: {FEW_IMAGES} are needed for a verdict"
        return _none("cannot tell", f"cannot tell: {few}{_so_far(evidence)}")
    if evidence.mismatches:
        choice = judge_by_mismatch(evidence.mismatches, evidence.variants.own)
    else:
        score = mutual_information if evidence.are_predictions else diversity
        choice = judge_by_score(evidence.outputs, score, evidence.variants.own)
    if choice.best is None or (choice.best in evidence.outputs and not evidence.differs(choice.best)):
        return _nothing_fits(evidence)
    if evidence.variants.own is None:
        return _best_of_those_tried(evidence, choice, criterion)
    return _compared_with_own(evidence, choice, criterion, evidence.variants.own)


def _compared_with_own(evidence: Evidence, choice: Choice, criterion: str, own: str) -> Judgement:
    best, alike = choice
    assert best is not None
    wrong = _wrong(evidence, best, alike)
    if best != own:
        text = (
            f"`{best}` fits these images better than {evidence.variants.describe(own)}, which the published weights "
            f"were trained with, judged by {criterion}: these weights may be trained otherwise, or the images are "
            "unusual. Labels can tell"
        )
        return Judgement("another is better", best, alike, wrong, text + _told(evidence, best))
    asked = evidence.variants.asked
    text = ""
    if evidence.variants.added:
        parts = [f"`{name}` does not look right{_mismatch(evidence, name)}" for name in asked if name in wrong]
        parts += [f"`{name}` is not what this base was trained with" for name in asked if name in alike]
        text = "; ".join(parts) + ". "
    text += f"{evidence.variants.describe(own)}{', measured for comparison,' if evidence.variants.added else ''} "
    photos_differ = evidence.mismatches.get(own, 0) > PHOTO_MISMATCH
    if not evidence.mismatches:
        text += f"is not contradicted, judged by {criterion}, which find a wrong scale only"
    elif photos_differ:
        text += f"fits, judged by {criterion}, but less closely than sharp photos do"
    else:
        text += f"looks right, judged by {criterion}"
    if alike:
        text += f"; {quote_names(alike)} fit{'s' if len(alike) == 1 else ''} these images about as well"
    finding: Finding = "not distinguished" if alike or not evidence.mismatches or photos_differ else "right"
    return Judgement(finding, own, alike, wrong, text + _told(evidence, own))


def _best_of_those_tried(evidence: Evidence, choice: Choice, criterion: str) -> Judgement:
    best, alike = choice
    assert best is not None
    compared = evidence.mismatches or evidence.outputs
    wrong = _wrong(evidence, best, alike)
    asked_wrong = [name for name in evidence.variants.asked if name in wrong and len(evidence.variants.asked) == 1]
    text = f"`{asked_wrong[0]}` does not look right{_mismatch(evidence, asked_wrong[0])}. " if asked_wrong else ""
    if len(compared) == 1:
        text += f"nothing speaks against `{best}`, the only one tried, judged by {criterion}"
    else:
        text += f"`{best}` fits best of the {len(compared)} tried, judged by {criterion}"
        if evidence.mismatches and evidence.mismatches[best] > PHOTO_MISMATCH:
            text += ", but less closely than sharp photos do"
    if alike:
        text += f"; {quote_names(alike)} fit{'s' if len(alike) == 1 else ''} these images about as well"
    text += ". What this network was trained with is not known"
    return Judgement("best of those tried", best, alike, wrong, text + _told(evidence, best))


def _nothing_fits(evidence: Evidence) -> Judgement:
    text = "no variant looks right: the weights may be random or belong to another network, or the images are no photos"
    if evidence.mismatches:
        nearest = min(evidence.mismatches, key=lambda name: evidence.mismatches[name])
        text += f"; the nearest is `{nearest}`{_mismatch(evidence, nearest)}"
    judged = evidence.variants.own or next(iter(evidence.outputs))
    if not evidence.differs(judged):
        text += f". With {evidence.variants.describe(judged)}, it sees nearly the same in all images"
        return _none("weights do not fit", text + _told(evidence, None))
    return _none("nothing fits", text + _told(evidence, None))


def _wrong(evidence: Evidence, best: str, alike: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in evidence.mismatches or evidence.outputs if name not in (best, *alike))


def _so_far(evidence: Evidence) -> str:
    if not evidence.mismatches:
        return ""
    nearest = min(evidence.mismatches, key=lambda name: evidence.mismatches[name])
    return f". So far `{nearest}` fits best{_mismatch(evidence, nearest)}"


def _mismatch(evidence: Evidence, variant: str) -> str:
    value = evidence.mismatches.get(variant)
    return "" if value is None else f" (mismatch {loss(value, 2 if value < 100 else 0)})"


def _told(evidence: Evidence, best: str | None) -> str:
    """Return what the classifier says of most images with the variant that is most at fault, in words."""
    if not evidence.are_predictions:
        return ""
    seen = {name: prediction_statistics(rows) for name, rows in evidence.outputs.items() if name != best}
    worst = max(seen, key=lambda name: seen[name].share, default=None)
    if worst is None or seen[worst].share <= _COMMON:
        return ""
    if best is None:
        return f". With `{worst}`, {describe_predictions(seen[worst], evidence.index)}"
    name, share = evidence.index.describe(seen[worst].commonest), seen[worst].share
    return (
        f". With `{worst}`, it predicts {name} for {'all images' if share == 1 else percent(share) + ' of the images'}"
    )


def _none(finding: Finding, text: str) -> Judgement:
    return Judgement(finding, None, (), (), text)
