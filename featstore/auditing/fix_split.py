"""A division of the data in which copies and groups stay in one split, as near to the given one as that allows.

First the copies: a picture belongs to the last split that it is in. So the test split keeps its pictures, and copies of
them leave the training split. Then the groups: each that is in several splits goes to the one of them where the fewest
pictures move, as long as that does not fill the split beyond its size. The largest come first. A picture that leaves
the test split counts twice. Sizes are those of the given division, in pictures of each class.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from featstore.auditing.subject import Subject
from featstore.datasets.labels import MISSING
from featstore.datasets.manifest import SPLITS, Picture
from featstore.errors import StoreError
from featstore.system.paths import is_url
from featstore.system.text import count, spreadsheet_text

_ROOM = 1.1  # times its size that a split may take of a class before it counts as full
_FULL = 3  # pictures that move, which one beyond that is worth
_FROM_TEST = 2
_LETTERS = 12  # of the digest that names copies


class Move(NamedTuple):
    """An image whose split changes."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class FixedSplit:
    """A division in which copies and groups stay in one split.

    Attributes:
        pictures: The images with their splits, and with the name of what must stay together as their group.
        moves: The images whose split changes.
        kept: Number of copies and groups that were in several splits.
    """

    pictures: tuple[Picture, ...]
    moves: tuple[Move, ...]
    kept: int

    @property
    def sizes(self) -> Counter[str]:
        """Number of images by split."""
        return Counter(p.split for p in self.pictures if p.split is not None)

    def sentence(self) -> str:
        """Return how many images move, and from where to where."""
        if not self.moves:
            return "no image has to move"
        ways = Counter((move.before, move.after) for move in self.moves)
        told = ", ".join(f"{number:,} from {before} to {after}" for (before, after), number in sorted(ways.items()))
        sizes = "/".join(f"{self.sizes[split]:,}" for split in SPLITS if self.sizes[split])
        names = "/".join(split for split in SPLITS if self.sizes[split])
        return f"{count(len(self.moves), 'image')} to move: {told}; then {sizes} ({names})"

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "moves": [move._asdict() for move in self.moves],
            "kept_together": self.kept,
            "sizes": dict(self.sizes),
        }

    def to_csv(self, folder: Path) -> bytes:
        """Return the table path, label, split, group; images below `folder`, where it will be, are relative to it.

        Raises StoreError for a label that a table cannot hold.
        """
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(["path", "label", "split", "group"])
        for p in self.pictures:
            if p.label in MISSING:
                raise StoreError(f"a table cannot hold the label {p.label!r}: it is read as a missing one; rename it")
            rows.writerow([_path_from(folder, p.path), p.label or "", p.split or "", p.group or ""])
        return text.getvalue().encode("utf-8", "surrogateescape")


def fix_split(subject: Subject) -> FixedSplit | None:
    """Return the division of a data set in which copies and groups stay in one split; None if it has no splits.

    Groups are those that the data set has, or else those that `subject` suspects. No file is touched.
    """
    pictures = subject.manifest.pictures
    if all(p.split is None for p in pictures):
        return None
    group_of = _groups(subject)
    grouped = [p._replace(group=group_of.get(p.path)) for p in pictures]
    units = subject.copies.unit_names(grouped)
    shown = _pictures_shown(pictures, subject.copies.unit_names([p._replace(group=None) for p in pictures]), units)
    split_of = _place(shown)
    sizes = Counter(units)
    divided, moves = [], []
    for p, unit in zip(pictures, units, strict=True):
        new = p._replace(split=p.split and split_of[unit], group=_name(unit, sizes[unit]))
        divided.append(new)
        if p.split is not None and new.split is not None and p.split != new.split:
            moves.append(Move(p.path, p.split, new.split))
    splits = {(unit, p.split) for p, unit in zip(pictures, units, strict=True) if p.split is not None}
    in_several = sum(number > 1 for number in Counter(unit for unit, _ in splits).values())
    return FixedSplit(pictures=tuple(divided), moves=tuple(moves), kept=in_several)


class _Shown(NamedTuple):
    """What an image shows: a picture, which belongs to one split. Copies show the same one."""

    unit: str
    home: str
    label: str


def _pictures_shown(pictures: Sequence[Picture], names: Sequence[str], units: Sequence[str]) -> list[_Shown]:
    """Return the pictures of the images that have a split, each with the last split that a copy of it is in.

    names, units: (n,) name of the picture, and of the unit, of each image.
    """
    found: dict[str, _Shown] = {}
    for p, name, unit in zip(pictures, names, units, strict=True):
        if p.split is not None:
            known = found.get(name, _Shown(unit, p.split, p.label or ""))
            found[name] = known._replace(home=max(known.home, p.split, key=SPLITS.index))
    return list(found.values())


def _place(pictures: Sequence[_Shown]) -> dict[str, str]:
    """Return the split of each unit."""
    sizes = Counter((shown.home, shown.label) for shown in pictures)
    members: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for shown in pictures:
        members[shown.unit][shown.home, shown.label] += 1
    split_of = {}
    held: Counter[tuple[str, str]] = Counter()
    for unit, homes in sorted(members.items(), key=lambda item: (_splits(item[1]) > 1, -item[1].total(), item[0])):
        candidates = sorted({home for home, _ in homes}, key=SPLITS.index, reverse=True)
        split = min(candidates, key=lambda split: _price(homes, split, held, sizes))
        split_of[unit] = split
        for (_, label), number in homes.items():
            held[split, label] += number
    return split_of


def _splits(homes: Counter[tuple[str, str]]) -> int:
    return len({home for home, _ in homes})


def _price(
    homes: Counter[tuple[str, str]], split: str, held: Counter[tuple[str, str]], sizes: Counter[tuple[str, str]]
) -> float:
    """Return what it costs to put a unit into `split`: pictures that move, and those for which there is no room."""
    moved = sum(n * (_FROM_TEST if home == "test" else 1) for (home, _), n in homes.items() if home != split)
    of_label: Counter[str] = Counter()
    for (_, label), n in homes.items():
        of_label[label] += n
    beyond = 0.0
    for label, n in of_label.items():
        taken, room = held[split, label], _ROOM * sizes[split, label]
        beyond += max(0.0, taken + n - max(room, taken))
    return moved + _FULL * beyond


def _groups(subject: Subject) -> dict[str, str]:
    """Return the group of each image by its path, as the data set has it, or else as it is suspected."""
    given = {p.path: p.group for p in subject.manifest.pictures if p.group is not None}
    if given or subject.suspected is None:
        return given
    suspected = zip(subject.labelled, subject.suspected.groups, strict=True)
    return {p.path: group for p, group in suspected if group is not None}


def _name(unit: str, size: int) -> str | None:
    """Return what the table calls a unit; None for a single image without a group."""
    kind, _, name = unit.partition(":")
    if kind == "group":
        return name
    return f"copies-{name[:_LETTERS]}" if size > 1 else None


def _path_from(folder: Path, path: str) -> str:
    """Return `path` relative to `folder` if it is below, or else the whole path.

    A spreadsheet would read `=a.png` as a formula, and `./=a.png` as text.
    """
    if is_url(path):
        return path
    inside = os.path.relpath(path, folder)
    if inside.startswith(os.pardir):
        return os.path.abspath(path)
    return inside if spreadsheet_text(inside) == inside else os.path.join(os.curdir, inside)
