"""The check for groups: images that belong together, such as the frames of a film, on both sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from featstore.auditing.findings import Check, Finding
from featstore.auditing.name_patterns import NameGroups
from featstore.auditing.subject import Subject
from featstore.datasets.manifest import SPLITS, Picture
from featstore.errors import param, spelled
from featstore.system.figures import percent
from featstore.system.text import count

TITLE = "Images that belong together"


def check_groups(subject: Subject) -> Check:
    """Find groups that several splits share: those that the data set has, or else those that names suggest.

    A head may know the film, and not what is to be learnt, so what is measured on other frames of it is too good.
    """
    given = [(p.group, p) for p in subject.manifest.pictures if p.group is not None]
    suspected = subject.suspected
    if given:
        return _check_given(given)
    if suspected is None:
        return Check(
            name="groups", title=TITLE, weight="fine", verdict="none is given, and names and features suggest none"
        )
    return _check_suspected(subject, suspected)


def _check_given(given: list[tuple[str, Picture]]) -> Check:
    findings = _divided(given)
    groups = len({name for name, _ in given})
    verdict = f"each of {count(groups, 'group')} is in one split"
    if findings:
        verdict = f"{len(findings):,} of {count(groups, 'group')} {_are(findings)} in several splits"
    fixed = spelled(f"{param('fix_split', 'fixed.csv')} writes a table in which groups stay in one split")
    return Check(
        name="groups",
        title=TITLE,
        weight="alarm" if findings else "fine",
        verdict=verdict,
        findings=findings,
        figures={"given": True, "groups": groups, "divided": len(findings)},
        advice=fixed if findings else "",
    )


def _check_suspected(subject: Subject, suspected: NameGroups) -> Check:
    grouped = [(g, p) for g, p in zip(suspected.groups, subject.labelled, strict=True) if g is not None]
    findings = _divided(grouped)
    groups = len({name for name, _ in grouped})
    verdict = (
        f"{suspected.meaning}: {count(len(grouped), 'image')} in {count(groups, 'group')}, of which {len(findings):,} "
        f"{_are(findings)} in several splits; the most similar image is of the same group for "
        f"{percent(suspected.agreeing)} of them, {percent(suspected.chance)} by chance"
    )
    pattern = param("group_by", suspected.pattern)
    return Check(
        name="groups",
        title=TITLE,
        weight="look" if findings else "note",
        verdict=verdict,
        findings=findings,
        figures={
            "given": False,
            "groups": groups,
            "divided": len(findings),
            "pattern": suspected.pattern,
            "agreeing": suspected.agreeing,
            "chance": suspected.chance,
            "nearness": suspected.nearness,
        },
        advice=spelled(f"if they belong together, keep them so: {pattern}; {param('fix_split')} does so as well"),
    )


def _divided(grouped: Iterable[tuple[str, Picture]]) -> tuple[Finding, ...]:
    """Return the groups with images in several splits: a held-out image, one of the earliest split, and all others."""
    members: dict[str, list[Picture]] = defaultdict(list)
    for name, picture in grouped:
        if picture.split is not None:
            members[name].append(picture)
    findings = []
    for name, pictures in members.items():
        sizes = Counter(p.split for p in pictures)
        splits = [split for split in SPLITS if sizes[split]]
        if len(splits) > 1:
            last = next(p for p in pictures if p.split == splits[-1])
            first = next(p for p in pictures if p.split == splits[0])
            rest = [p.path for p in pictures if p not in (first, last)]
            text = f"{name}: {', '.join(f'{sizes[split]:,} in {split}' for split in splits)}"
            findings.append(Finding((last.path, first.path, *rest), text, float(len(pictures)), "divided group"))
    return tuple(sorted(findings, key=lambda finding: (-finding.score, finding.paths)))


def _are(items: tuple[Finding, ...]) -> str:
    return "is" if len(items) == 1 else "are"
