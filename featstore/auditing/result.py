"""The result of an audit: whether the figures may be believed, and which images to look at."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

from featstore.auditing.findings import Check, Weight
from featstore.auditing.fix_split import FixedSplit, fix_split
from featstore.auditing.subject import Subject
from featstore.copies.proof import Proof
from featstore.datasets.manifest import Picture
from featstore.datasets.summary import DataSummary, summarize
from featstore.errors import StoreError
from featstore.objects.places import path_below
from featstore.system.files import write_whole
from featstore.system.paths import OnePath, one_path
from featstore.system.text import Shown, Table, listed, safe, spreadsheet_text

FORMAT, VERSION = "featstore-audit", 1
WEIGHTS: tuple[Weight, ...] = get_args(Weight)  # the most serious first
SHOWN = 3  # findings of a check that are printed
COLUMNS = ("path", "split", "label", "check", "kind", "score", "partner", "text", "suggestion")
_WIDTH = 80


@dataclass(frozen=True, repr=False, kw_only=True)
class Audit(Shown):
    """What the checks of a data set found.

    Attributes:
        source: The data set.
        checks: The checks, the most serious first.
        data: Classes and counts by split.
        made_splits: Whether the splits were made here, since the data set has none.
        features: The recipe of the features that the checks rest on.
        seed: Seed of all that was drawn.
        images: The images.
        fix: A division in which copies and groups stay in one split; None if there are no splits.
        proof: How copies made of some of the images fare under the rule of the checks; None if it was not tried.
    """

    source: str
    checks: tuple[Check, ...]
    data: DataSummary
    made_splits: bool
    features: dict[str, Any]
    seed: int
    images: tuple[Picture, ...]
    fix: FixedSplit | None
    proof: Proof | None = None

    @classmethod
    def of(cls, subject: Subject, checks: Sequence[Check], proof: Proof | None = None) -> Audit:
        """Return the result of the `checks` of `subject`; those of one weight stay in their order."""
        prepared = subject.prepared
        given, divided = ({p.split for p in m.pictures if p.label} for m in (prepared.given, prepared.manifest))
        return cls(
            source=prepared.manifest.source,
            checks=tuple(sorted(checks, key=lambda check: WEIGHTS.index(check.weight))),
            data=summarize(prepared.manifest),
            made_splits=given == {None} and divided != {None},
            features=prepared.plans[0].recipe.describe(),
            seed=subject.seed,
            images=prepared.manifest.pictures,
            fix=fix_split(subject),
            proof=proof if proof and proof.images else None,
        )

    def __getitem__(self, name: str) -> Check:
        """Return the check `name`; raises KeyError if there is none."""
        return {check.name: check for check in self.checks}[name]  # type: ignore[index]

    def of_weight(self, weight: Weight) -> list[Check]:
        """Return the checks of one weight."""
        return [check for check in self.checks if check.weight == weight]

    def failing(self, names: Collection[str]) -> list[Check]:
        """Return the checks with something to say whose name or weight is in `names`; `look` includes `alarm`."""
        weights = {*names, "alarm"} if "look" in names else {*names}
        return [check for check in self.checks if check.weight != "fine" and {check.name, check.weight} & weights]

    @property
    def is_believable(self) -> bool:
        """Whether no check raises an alarm."""
        return not self.of_weight("alarm")

    def summary(self) -> str:
        """Return in a sentence whether figures that are measured on these splits may be believed."""
        alarms, looks = self.of_weight("alarm"), self.of_weight("look")
        to_look = f"; to look at: {listed([*map(_in_sentence, looks)], len(looks))}" if looks else ""
        if alarms:
            told = "; ".join(f"{_in_sentence(check)} ({check.verdict.partition('; ')[0]})" for check in alarms)
            return f"do not believe the figures yet: {told}{to_look}"
        return f"nothing was found that makes the figures wrong{to_look}"

    def parts(self) -> Iterator[str | Table]:
        """Yield the summary, the verdict of each check, and the first findings of those that have some."""
        yield from _wrapped(self.summary())
        if self.made_splits:
            yield from _wrapped("the data set has no splits: these are the ones that training makes of it")
        yield ""
        for check in self.checks:
            yield from _wrapped(f"{check.weight:<6} {check.title}: {check.verdict}", "", " " * 7)
        for check in self.checks:
            if check.findings or (check.table and check.weight != "fine"):
                yield ""
                yield f"{check.title}:"
                yield from self._details(check)
        if self.fix and self.fix.moves:
            yield ""
            yield from _wrapped(f"a split in which copies and groups stay together: {self.fix.sentence()}")

    def _details(self, check: Check) -> Iterator[str | Table]:
        """Yield the figures of a check, its first findings and what to do."""
        if check.table:
            yield check.table
        for finding in check.findings[:SHOWN]:
            first, *partners = map(self.short, finding.paths)
            yield f"  {first}"
            yield from (f"  = {path}" for path in partners[:1])
            yield from _wrapped(finding.text, " " * 4)
        if len(check.findings) > SHOWN:
            yield f"  and {len(check.findings) - SHOWN:,} more"
        if check.advice:
            yield from _wrapped(f"to do: {check.advice}", "  ", " " * 4)

    def short(self, path: str) -> str:
        """Return a path relative to the data set, where it is inside."""
        return path_below(path, self.source)

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values in a stable format: keys are added, but none is changed within a version."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "believable": self.is_believable,
            "summary": self.summary(),
            "made_splits": self.made_splits,
            "checks": [check.describe() for check in self.checks],
            "fix": self.fix and self.fix.describe(),
            "proof": self.proof and self.proof.describe(),
            "data": self.data.describe(),
            "features": self.features,
            "seed": self.seed,
        }

    def to_csv(self) -> bytes:
        """Return a table with a row for each finding: path, split, label, check, kind, score, partner, text."""
        of_path = {p.path: p for p in self.images}
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        for check in self.checks:
            for finding in check.findings:
                picture = of_path.get(finding.paths[0])
                cells = (
                    finding.paths[0],
                    (picture and picture.split) or "",
                    (picture and picture.label) or "",
                    check.name,
                    finding.kind,
                    f"{finding.score:.6g}",
                    "|".join(finding.paths[1:]),
                    finding.text,
                    finding.suggestion or "",
                )
                rows.writerow([spreadsheet_text(cell) for cell in cells])
        return text.getvalue().encode("utf-8", "surrogateescape")

    def save(self, path: OnePath) -> Path:
        """Write the audit to a file as JSON, or as CSV if its name ends so; return the path."""
        file = Path(one_path(path, "path"))
        write_whole(file, self.to_csv() if file.suffix.lower() == ".csv" else self.to_json())
        return file

    def to_json(self) -> bytes:
        """Return what `describe` does as the text of a file."""
        return json.dumps(self.describe(), indent=2, allow_nan=False).encode() + b"\n"

    def save_fixed_split(self, path: OnePath) -> Path:
        """Write the table of `fix`, which every command takes as DATA; return its path. Raises StoreError."""
        file = Path(one_path(path, "fix_split"))
        write_whole(file, self.to_fixed_split(file))
        return file

    def to_fixed_split(self, path: Path) -> bytes:
        """Return the table of `fix` as it belongs at `path`; raises StoreError where there is no split to mend."""
        if self.fix is None:
            raise StoreError(f"{path}: is not written: {self.source} has no splits, and none can be made")
        return self.fix.to_csv(path.resolve().parent)


def _in_sentence(check: Check) -> str:
    """Return the title of a check as it is within a sentence."""
    return check.title[:1].lower() + check.title[1:]


def _wrapped(text: str, first: str = "", then: str | None = None) -> list[str]:
    """Return `text` in lines of a page, indented by `first` and `then`; it is escaped first, which makes it longer."""
    rest = first if then is None else then
    return wrap(safe(text), _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)
