"""The check for leaks: one picture in several splits, and what that does to the accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from featstore.auditing.families import IN_WORDS, KINDS, Family
from featstore.auditing.findings import Check, Finding
from featstore.auditing.leak_cost import LeakCost, measure_cost
from featstore.auditing.subject import Subject
from featstore.datasets.manifest import SPLITS, Picture
from featstore.errors import param, spelled
from featstore.system.text import count

TITLE = "Leaks between splits"
_SLIGHT = 0.25  # of what the interval of the accuracy leaves open: leaks that can do no more are not an alarm
_FEW = 0.01  # of the images of a split: of more than these, it is not enough that one head does not gain by them


def check_leaks(subject: Subject) -> Check:
    """Find held-out images that are in an earlier split too: test images in train or val, val images in train.

    What was trained on or chosen by a picture is right about it too often.
    """
    if not any(p.split in SPLITS[1:] for p in subject.manifest.pictures):
        return Check(name="leaks", title=TITLE, weight="fine", verdict="not checked: no split is held out")
    found = [leak for family in subject.families for leak in _leaks(family)]
    kinds = {split: Counter(f.kind for p, f in found if p.split == split) for split in reversed(SPLITS[1:])}
    sizes = {split: len(subject.manifest.of_split(split)) for split in kinds}
    cost = measure_cost(subject, {p.path for p, _ in found}) if found else None
    share = max((kinds[split].total() / sizes[split] for split in kinds if sizes[split]), default=0.0)
    slight = _is_slight(share, cost)
    figures: dict[str, Any] = {
        split: {"images": sizes[split], "leaked": kinds[split].total()} | {kind: kinds[split][kind] for kind in KINDS}
        for split in kinds
        if sizes[split]
    }
    return Check(
        name="leaks",
        title=TITLE,
        weight="fine" if not found else "look" if slight else "alarm",
        verdict="; ".join(
            [
                _verdict(kinds, sizes),
                *([cost.sentence()] if cost else []),
                *(["too little to matter, uncertain as it is"] if slight else []),
            ]
        ),
        findings=tuple(f for _, f in sorted(found, key=lambda leak: _order(*leak))),
        figures=figures | ({"cost": cost.describe()} if cost else {}),
        table=cost.table() if cost else None,
        advice=_advice() if found else "",
    )


def _is_slight(share: float, cost: LeakCost | None) -> bool:
    """Return whether leaks of this share of a split cannot matter, uncertain as the accuracy is.

    They change it by their share at most, with any head. A few of them may also be measured to be worth nothing.
    """
    if cost is None or not share:
        return False
    low, high = cost.all.ci95
    little = _SLIGHT * (high - low) / 2
    return share <= little or (share <= _FEW and cost.gain is not None and cost.gain.high <= little)


def _leaks(family: Family) -> list[tuple[Picture, Finding]]:
    """Return the held-out images of a family with their nearest partner in an earlier split."""
    leaks = []
    for picture in family.pictures:
        earlier = _before(picture, family.pictures)
        if earlier:
            partner, tie = family.closest(picture, earlier)
            text = f"{tie.text}, in {picture.split} and in {partner.split}"
            leaks.append((picture, Finding((picture.path, partner.path), text, tie.score, tie.kind)))
    return leaks


def _before(picture: Picture, family: Sequence[Picture]) -> list[Picture]:
    """Return the images of a family that are in the first split of it, if that is before the split of `picture`."""
    splits = [split for split in SPLITS if any(p.split == split for p in family)]
    if picture.split is None or picture.split == splits[0]:
        return []
    return [p for p in family if p.split == splits[0]]


def _order(picture: Picture, finding: Finding) -> tuple[float, int, tuple[str, ...]]:
    """Order leaks by their score, then those of test before those of val."""
    return -finding.score, -SPLITS.index(picture.split or SPLITS[0]), finding.paths


def _verdict(kinds: dict[str, Counter[str]], sizes: dict[str, int]) -> str:
    told = [
        f"{leaked:,} of {count(sizes[split], f'{split} image')} ({100 * leaked / sizes[split]:.2g}%)"
        for split, of_kind in kinds.items()
        if (leaked := of_kind.total())
    ]
    if not told:
        return f"no picture of {' or '.join(s for s in kinds if sizes[s])} is in an earlier split"
    total: Counter[str] = sum(kinds.values(), Counter())
    how = ", ".join(f"{total[kind]:,} {IN_WORDS[kind]}" for kind in KINDS if total[kind])
    verb = "is" if sum(total.values()) == 1 else "are"
    return f"{' and '.join(told)} {verb} in an earlier split too: {how}"


def _advice() -> str:
    table = param("fix_split", "fixed.csv")
    return spelled(f"{table} writes a table in which copies stay in one split; train on fixed.csv")
