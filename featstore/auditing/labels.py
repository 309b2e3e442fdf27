"""The check of labels: those that the features contradict, found by confident learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.auditing.confident_learning import doubts, other_classes, pruned
from featstore.auditing.findings import Check, Finding
from featstore.auditing.out_of_fold import OutOfFold, out_of_fold
from featstore.auditing.subject import Subject
from featstore.auditing.wrong_share import WrongShare, wrong_share
from featstore.evaluation.intervals import accuracy_interval, mean_over_classes_interval
from featstore.evaluation.units import Units
from featstore.system.figures import figure
from featstore.system.text import count, listed

SUSPECT, UNCLEAR = "suspect label", "unclear label"
_MOST_LISTED = 3  # images for each label that can be wrong: a longer list would be of images that are hard to tell


class _Judged(NamedTuple):
    """The images held out: their places in the data set, probabilities (n, classes), classes (n,) and units."""

    places: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    y: NDArray[np.intp]
    units: Units


def check_labels(subject: Subject) -> Check:
    """Look for labels that the features contradict, in all splits.

    The images are ranked by the log odds of the most probable other class against their label, from heads that saw
    neither them nor their copies. As many as are estimated to be wrong are suspect. What confident learning would list
    beyond them is unclear: most of these are images that are hard to tell.
    """
    if not subject.labelled:
        return _nothing("nothing can be said of them: no image has a label")
    names, classes = np.asarray(subject.units), subject.manifest.classes
    on_step = subject.progress.steps("judging labels", "fits") if subject.progress else None
    found = out_of_fold(subject.X, subject.y, len(classes), subject.units, subject.seed, on_step)
    if found is None:
        return _nothing("nothing can be said of them: it takes two classes of two different images each")
    held_out = np.flatnonzero(found.held_out)
    judged = _Judged(held_out, found.probabilities[held_out], subject.y[held_out], Units(names[held_out]))
    figures = _accuracy(judged)
    if not figures["above_chance"]:
        accuracy, commonest = (figure(figures[name]) for name in ("accuracy", "commonest_share"))
        return _nothing(
            f"nothing can be said of them: held out, images get their label in {accuracy} of all cases, which may be "
            f"chance, as the commonest class has {commonest}",
            figures,
        )
    steps = subject.progress.steps("flipping labels", "rounds") if subject.progress else None
    share = wrong_share(subject.X, subject.y, subject.units, found, subject.seed, steps)
    if share is None:
        return _nothing("nothing can be said of them: it takes two classes of ten images each", figures)
    suspects = round(share.share * len(held_out))
    possible = round(_MOST_LISTED * share.bound * len(held_out))
    length = max(suspects, min(possible, int(pruned(judged.probabilities, judged.y).sum())))
    findings = tuple(_findings(subject, judged, suspects, length))
    figures |= {
        "C": found.C,
        "wrong_share": share.share,
        "wrong_share_bound": share.bound,
        "flips": share.flips,
        "suspects": sum(finding.kind == SUSPECT for finding in findings),
        "unclear": sum(finding.kind == UNCLEAR for finding in findings),
        "not_judged": len(subject.y) - len(held_out),
    }
    return Check(
        name="labels",
        title="Suspect labels",
        weight="look" if figures["suspects"] else "fine",
        verdict=_verdict(share, figures, _left_out(subject, found)),
        findings=findings,
        figures=figures,
        advice="look at the images, the first ones first: a label is wrong, or an image shows two things at once"
        if findings
        else "",
    )


def _findings(subject: Subject, judged: _Judged, suspects: int, length: int) -> list[Finding]:
    """Return the first `length` images by doubt, of which the first `suspects` are suspect; none where it agrees."""
    doubt = doubts(judged.probabilities, judged.y)
    others, classes = other_classes(judged.probabilities, judged.y), subject.manifest.classes
    found = []
    for place, row in enumerate(np.argsort(-doubt, kind="stable")[:length]):
        if doubt[row] <= 0:
            break
        label, other = classes[judged.y[row]], classes[others[row]]
        of_label, of_other = (figure(float(judged.probabilities[row, k])) for k in (judged.y[row], others[row]))
        found.append(
            Finding(
                paths=(subject.labelled[judged.places[row]].path,),
                text=f"labelled {label} ({of_label}), looks like {other} ({of_other})",
                score=float(doubt[row]),
                kind=SUSPECT if place < suspects else UNCLEAR,
                suggestion=other,
            )
        )
    return found


def _accuracy(judged: _Judged) -> dict[str, Any]:
    """Return the accuracy with its interval, and whether it is above chance: over all images, or over the classes."""
    right = (judged.probabilities.argmax(axis=1) == judged.y).astype(float)
    counts = np.bincount(judged.y)
    commonest = float(counts.max() / counts.sum())
    interval = accuracy_interval(right, judged.units)
    of_classes = mean_over_classes_interval(right, judged.y, judged.units)
    return {
        "accuracy": float(right.mean()),
        "accuracy_ci95": list(interval),
        "commonest_share": commonest,
        "above_chance": bool(interval[0] > commonest or of_classes[0] > 1 / np.count_nonzero(counts)),
    }


def _verdict(share: WrongShare, figures: dict[str, Any], left_out: Sequence[str]) -> str:
    suspects, unclear = figures["suspects"], figures["unclear"]
    bound = f"at most {_percent(share.bound)}, if labels are wrong at random"
    more, verb = "more " if suspects else "", "is" if unclear == 1 else "are"
    less_clear = f"; {unclear:,} {more}{verb} less clear" if unclear else ""
    text = (
        f"about {_percent(share.share)} of the labels may be wrong ({bound}): look at {count(suspects, 'image')}"
        if suspects
        else f"no label is suspect ({bound})"
    )
    few = f"; {count(figures['not_judged'], 'image')} of {listed(left_out)} could not be judged" if left_out else ""
    return f"{text}{less_clear}{few}"


def _left_out(subject: Subject, found: OutOfFold) -> list[str]:
    """Return the classes with images that could not be held out, as no other unit shows the class."""
    return [subject.manifest.classes[k] for k in np.unique(subject.y[~found.held_out])]


def _percent(share: float) -> str:
    return f"{figure(round(100 * share, 10), 1, (0.0, 100.0))}%"


def _nothing(verdict: str, figures: dict[str, Any] | None = None) -> Check:
    return Check(name="labels", title="Suspect labels", weight="note", verdict=verdict, figures=figures or {})
