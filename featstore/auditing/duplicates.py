"""The check for duplicates: one picture several times within a split."""

from __future__ import annotations

from collections import Counter, defaultdict

from featstore.auditing.families import Family
from featstore.auditing.findings import Check, Finding
from featstore.auditing.subject import Subject
from featstore.datasets.manifest import Picture
from featstore.errors import param, spelled
from featstore.system.text import count

TITLE = "Duplicates within a split"


def check_duplicates(subject: Subject) -> Check:
    """Find pictures that are several times in one split. They count as one picture: intervals allow for that."""
    found: list[Finding] = []
    spare: Counter[str] = Counter()  # images beyond the first of each picture
    for family in subject.families:
        of_split: dict[str, list[Picture]] = defaultdict(list)
        for picture in family.pictures:
            of_split[picture.split or "no split"].append(picture)
        for split, pictures in of_split.items():
            if len(pictures) > 1:
                spare[split] += len(pictures) - 1
                found.append(_finding(family, split, pictures))
    where = ", ".join(f"{number:,} in {split}" for split, number in spare.items())
    return Check(
        name="duplicates",
        title=TITLE,
        weight="note" if found else "fine",
        verdict=f"{count(spare.total(), 'image')} more than there are pictures: {where}"
        if found
        else "no picture is twice in a split",
        findings=tuple(sorted(found, key=lambda finding: (-finding.score, finding.paths))),
        figures={"spare": dict(spare)},
        advice=_advice(subject) if found else "",
    )


def _advice(subject: Subject) -> str:
    by_bytes = "copies byte for byte count as one picture in all figures"
    if all(p.split is None for p in subject.manifest.pictures):
        return by_bytes
    return spelled(f"{by_bytes}; the table of {param('fix_split', 'fixed.csv')} lets all others count so too")


def _finding(family: Family, split: str, pictures: list[Picture]) -> Finding:
    first, *rest = pictures
    nearest, tie = family.closest(first, rest)
    others = [p for p in rest if p is not nearest]
    text = f"{tie.text}, {len(pictures)} times in {split}"
    return Finding(tuple(p.path for p in (first, nearest, *others)), text, tie.score, tie.kind)
