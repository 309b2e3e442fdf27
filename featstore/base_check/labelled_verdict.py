"""The verdict of a check with labels, in the order in which doubt comes first.

Too few images tell nothing. Labels that fit when they are numbered otherwise say nothing about the preprocessing, and
neither does an accuracy that a guess has as well. Only then the variants are compared: with what the base was trained
with, where that is known, and else with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.findings import FEW_IMAGES, Finding, Judgement
from featstore.base_check.judgement import (
    THRESHOLDS,
    PredictionStatistics,
    mutual_information,
)
from featstore.base_check.relabelling import find_relabelling
from featstore.base_check.variants import Variants, quote_names
from featstore.evaluation.paired import Difference, paired_difference
from featstore.evaluation.units import Units
from featstore.system.figures import figure, percent, with_interval
from featstore.system.text import count

if TYPE_CHECKING:
    from featstore.base_check.accuracies import Measured, VariantAccuracy

# No classifier of keras.applications has less than 0.4 at the size it was published for. Images of users may be harder
# than ImageNet's, and smaller, so only less than half of what is expected is a reason for doubt.
LEAST_PUBLISHED = 0.4
DOUBTFUL = 0.5
_GUESSED = 0.01  # probability that guesses do as well as the best of the variants, above which it is a guess


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the verdict follows from.

    measured, rows: the accuracies in the same order; of each number of views, for the first size and for all.
    images: number of different images. published: published top-1; is_published: whether the base is of the catalogue.
    """

    measured: Sequence[Measured]
    rows: Sequence[VariantAccuracy]
    variants: Variants
    truth: NDArray[np.intp]
    classes: int
    index: ClassIndex
    units: Units
    error: float
    images: int
    published: float | None
    is_published: bool
    has_random_weights: bool

    def compared(self) -> dict[str, tuple[Measured, VariantAccuracy]]:
        """Return the accuracies in which variants are compared: the fewest views at the first size."""
        fewest, scales = min(row.views for row in self.rows), self.rows[0].scales
        pairs = zip(self.measured, self.rows, strict=True)
        return {m.variant: (m, row) for m, row in pairs if (row.views, row.scales) == (fewest, scales)}

    def chance(self) -> float:
        """Return the accuracy of the best guess: of any class, or of the answers given to other images.

        A network that calls everything by the commonest label is right as often as that label occurs.
        """
        labels = np.bincount(self.truth, minlength=self.classes) / len(self.truth)
        said = [np.bincount(m.answers, minlength=self.classes) / len(self.truth) for m, _ in self.compared().values()]
        return max(1 / self.classes, *(float(answers @ labels) for answers in said))

    def is_chance(self, row: VariantAccuracy) -> bool:
        """Return whether guesses would have as many right answers as the best variant, in one of 100 checks or more."""
        from scipy.stats import binom

        hits = round(row.top1 * row.n)
        return bool(binom.sf(hits - 1, row.n, self.chance()) * len(self.compared()) > _GUESSED)

    def lead(self, over: str, of: str) -> Difference:
        """Return by how much the accuracy of the variant `of` is above that of `over`."""
        compared = self.compared()
        one, other = compared[of][0].cell.right, compared[over][0].cell.right
        return paired_difference(one, other, self.units, self.error)


def judge_accuracies(evidence: Evidence) -> Judgement:
    """Return what the accuracies say."""
    compared = evidence.compared()
    rows = {name: row for name, (_, row) in compared.items()}
    best = max(rows, key=lambda name: (rows[name].top1, rows[name].top5, -compared[name][0].cell.log_loss))
    if evidence.images < FEW_IMAGES or len(set(evidence.truth.tolist())) < 2:
        return _cannot_tell(evidence, rows[best])
    answers = {name: m.answers for name, (m, _) in compared.items()}
    own = evidence.variants.own
    other = find_relabelling(answers, evidence.truth, evidence.classes, evidence.index, evidence.units)
    if other is not None:
        text = (
            f"the labels do not fit: {other.how}. As given, the best top-1 is {figure(rows[best].top1)}; read like "
            f"that, `{other.variant}` has {figure(other.top1)}. Correct the labels, then check again"
        )
        return Judgement("labels do not fit", None, (), (), text)
    if evidence.is_chance(rows[best]):
        return _at_chance(evidence, rows[best])
    leads = {name: evidence.lead(over=name, of=best) for name in rows if name != best}
    if evidence.is_published and rows[best].top1_ci95[1] < DOUBTFUL * (evidence.published or LEAST_PUBLISHED):
        return _far_below(evidence, rows[best])
    if own is None:
        return _best_of_those_tried(evidence, best, leads)
    if own != best and leads[own].is_significant:
        return _another_is_better(evidence, best, leads[own])
    return _own_is_confirmed(evidence, own)


def _own_is_confirmed(evidence: Evidence, own: str) -> Judgement:
    rows = {name: row for name, (_, row) in evidence.compared().items()}
    lags = {name: evidence.lead(over=name, of=own) for name in rows if name != own}
    wrong = tuple(name for name, lag in lags.items() if lag.is_significant)
    alike = tuple(name for name in lags if name not in wrong)
    asked = evidence.variants.asked
    text = ""
    if evidence.variants.added:
        parts = [f"`{name}` is wrong for this base: top-1 {figure(rows[name].top1)}" for name in asked if name in wrong]
        parts += [f"`{name}` is not what this base was trained with" for name in asked if name in alike]
        text = "; ".join(parts) + ". "
    name = evidence.variants.describe(own)
    text += f"{name}{', measured for comparison,' if evidence.variants.added else ''} "
    text += f"{'is right' if wrong and not alike else 'is confirmed'}: {_accuracy(rows[own])}"
    if not lags:
        text += "; no other was tried"
    if alike:
        text += f"; {quote_names(alike)} {_are(alike)} not significantly different on these images"
    if wrong:
        nearest = min(wrong, key=lambda name: lags[name].value)
        text += f"; the next, `{nearest}`, is {lags[nearest].in_points()} below"
    finding: Finding = "right" if wrong and not alike else "not distinguished"
    return Judgement(finding, own, alike, wrong, text + _gains(evidence, own) + _published(evidence, own))


def _another_is_better(evidence: Evidence, best: str, lead: Difference) -> Judgement:
    own = evidence.variants.own
    assert own is not None
    row = evidence.compared()[best][1]
    alike, wrong = _alike_and_wrong(evidence, best)
    text = (
        f"`{best}` is best of those tried: {_accuracy(row)}, {lead.in_points()} above "
        f"{evidence.variants.describe(own)}, which the published weights were trained with. These weights seem to be "
        "trained otherwise"
    )
    return Judgement(
        "another is better", best, alike, wrong, text + _gains(evidence, best) + _published(evidence, best)
    )


def _best_of_those_tried(evidence: Evidence, best: str, leads: Mapping[str, Difference]) -> Judgement:
    row = evidence.compared()[best][1]
    alike, wrong = _alike_and_wrong(evidence, best)
    if not leads:
        text = f"`{best}` is the only one tried: {_accuracy(row)}; chance is {figure(evidence.chance())}"
    else:
        text = f"`{best}` is best of the {len(leads) + 1} tried: {_accuracy(row)}"
    if alike:
        text += f"; {quote_names(alike)} {_are(alike)} not significantly different on these images"
    if wrong:
        nearest = min(wrong, key=lambda name: leads[name].value)
        text += f"; the next, `{nearest}`, is {leads[nearest].in_points()} below"
    text += ". What this network was trained with is not known, so another may be better"
    if alike:
        text += "; more images may tell them apart, or the statistics in a check without labels"
    return Judgement("best of those tried", best, alike, wrong, text + _gains(evidence, best))


def _far_below(evidence: Evidence, row: VariantAccuracy) -> Judgement:
    if evidence.published is not None:
        expected = f"published is {figure(evidence.published)} on ImageNet's validation images"
    else:
        expected = f"networks of this kind have {figure(LEAST_PUBLISHED)} and more on ImageNet's validation images"
    text = (
        f"no variant is confirmed: the best, `{row.preprocess}`, has {_accuracy(row)}, more than guessing, but "
        f"far below what is expected: {expected}. These images may be harder or smaller; if not, weights or labels are "
        "right in part only"
    )
    return Judgement("far below expected", None, (), (), text)


def _at_chance(evidence: Evidence, row: VariantAccuracy) -> Judgement:
    """Say what is likely wrong: labels, if the network tells the images apart, otherwise the weights."""
    text = (
        f"no variant is confirmed: the best, `{row.preprocess}`, has {_accuracy(row)}, which is that of guessing "
        f"({figure(evidence.chance())}). "
    )
    if evidence.has_random_weights:
        return Judgement("weights do not fit", None, (), (), text + "The weights are random: they know no classes")
    compared = {name: m for name, (m, _) in evidence.compared().items()}
    own = evidence.variants.own
    judged = own or max(compared, key=lambda name: compared[name].information)
    said = describe_predictions(compared[judged].seen, evidence.index)
    if compared[judged].information < THRESHOLDS[mutual_information].minimum:
        cause = "weights that were never trained, are damaged or belong to another network"
        if own is None:
            text += f"With `{judged}`, {said}. Likely are {cause}, or a preprocessing that was not tried"
            return Judgement("nothing fits", None, (), (), text)
        text += f"With {evidence.variants.describe(judged)}, {said}: likely are {cause}"
        return Judgement("weights do not fit", None, (), (), text)
    text += f"With {evidence.variants.describe(judged)}, {said}, so it tells the images apart. "
    if own is None:
        text += "Likely are labels of other images or in another order, or a preprocessing that was not tried"
        return Judgement("nothing fits", None, (), (), text)
    text += "Likely are labels of other images or in another order, or a classifier of other classes"
    return Judgement("labels do not fit", None, (), (), text)


def describe_predictions(seen: PredictionStatistics, index: ClassIndex) -> str:
    """Return what a classifier says of all images, in words."""
    name = index.describe(seen.commonest)
    if seen.classes == 1:
        return f"it predicts {name} for all images"
    return f"it predicts {seen.classes} classes in all, {name} for {percent(seen.share)} of the images"


def _cannot_tell(evidence: Evidence, row: VariantAccuracy) -> Judgement:
    if evidence.images < FEW_IMAGES:
        why = f"{count(evidence.images, 'different image')} are too few: {FEW_IMAGES} are needed for a verdict"
    else:
        why = (
            "all images have one label: images of several classes are needed, to tell knowledge from a constant answer"
        )
    return Judgement("cannot tell", None, (), (), f"cannot tell: {why}. So far `{row.preprocess}` has {_accuracy(row)}")


def _alike_and_wrong(evidence: Evidence, best: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    leads = {name: evidence.lead(over=name, of=best) for name in evidence.compared() if name != best}
    wrong = tuple(name for name, lead in leads.items() if lead.is_significant)
    return tuple(name for name in leads if name not in wrong), wrong


def _accuracy(row: VariantAccuracy) -> str:
    seen = "one view" if row.views == 1 else f"{row.views} views"
    return (
        f"top-1 {with_interval(row.top1, row.top1_ci95)}, top-5 {figure(row.top5)} on {count(row.n, 'image')} in {seen}"
    )


def _gains(evidence: Evidence, variant: str) -> str:
    """Return what more views and more sizes bring, in words."""
    of_variant = [m for m in evidence.measured if m.variant == variant]
    first = evidence.compared()[variant][0]
    text = ""
    most = max(of_variant, key=lambda m: (len(m.scales) == 1, m.views))
    if most.views > first.views:
        gain = paired_difference(most.cell.right, first.cell.right, evidence.units, evidence.error)
        text += f". {most.views} views against {first.views}: {gain.in_points()}"
    if len((scaled := max(of_variant, key=lambda m: (len(m.scales), -m.views))).scales) > 1:
        gain = paired_difference(scaled.cell.right, first.cell.right, evidence.units, evidence.error)
        text += f". {len(scaled.scales)} sizes against one: {gain.in_points()}"
    return text


def _published(evidence: Evidence, variant: str) -> str:
    published = evidence.published
    if published is None:
        return ""
    text = f". Published top-1 on all of ImageNet's validation images: {figure(published)}"
    if evidence.compared()[variant][1].top1_ci95[1] < published:
        text += ", which is more than here: these images may be harder, or read otherwise than for that figure"
    return text


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
