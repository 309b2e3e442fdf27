"""The check for conflicts: one picture under several labels."""

from __future__ import annotations

from featstore.auditing.families import Family
from featstore.auditing.findings import Check, Finding
from featstore.auditing.subject import Subject
from featstore.datasets.manifest import Picture
from featstore.system.text import count

TITLE = "Conflicting labels"


def check_conflicts(subject: Subject) -> Check:
    """Find pictures that are there under several labels.

    Which label is right, or whether both are, only a person can tell: a photo with a mask drawn on it is the same
    picture of another class. So it is to be looked at, and is not called an error.
    """
    if len(subject.manifest.classes) < 2:
        return Check(name="conflicts", title=TITLE, weight="fine", verdict="not checked: fewer than two labels")
    found = [conflict for family in subject.families if (conflict := _conflict(family)) is not None]
    findings = tuple(sorted(found, key=lambda finding: (-finding.score, finding.paths)))
    same_file = sum(finding.kind == "bytes" for finding in findings)
    return Check(
        name="conflicts",
        title=TITLE,
        weight="look" if findings else "fine",
        verdict=_verdict(len(findings), same_file),
        findings=findings,
        figures={"pictures": len(findings), "same_file": same_file},
        advice="look at each, and keep one label, or leave the picture out" if findings else "",
    )


def _verdict(pictures: int, same_file: int) -> str:
    if not pictures:
        return "no picture is there under two labels"
    verdict = f"{count(pictures, 'picture')} {'is' if pictures == 1 else 'are'} there under several labels"
    return f"{verdict}, {same_file:,} as the same file: no head can be right on both" if same_file else verdict


def _conflict(family: Family) -> Finding | None:
    """Return the first image of a family, the one of another label that is most like it, and then all others."""
    labelled = [p for p in family.pictures if p.label is not None]
    others = [p for p in labelled if p.label != labelled[0].label]
    if not others:
        return None
    one = labelled[0]
    other, tie = family.closest(one, others)
    rest = [p for p in labelled if p not in (one, other)]
    labels = " and ".join(dict.fromkeys(p.class_name for p in (one, other, *rest)))
    return Finding(_paths(one, other, *rest), f"{tie.text}, labelled {labels}", tie.score, tie.kind)


def _paths(*pictures: Picture) -> tuple[str, ...]:
    return tuple(p.path for p in pictures)
