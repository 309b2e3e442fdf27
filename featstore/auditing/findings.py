"""What an audit finds: a verdict of each check in one sentence, and the images behind it, the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from featstore.system.text import Table

CheckName = Literal[
    "leaks",  # the same picture in several splits
    "conflicts",  # the same picture under several labels
    "duplicates",  # the same picture several times within a split
    "labels",  # suspect labels
    "shortcuts",  # what tells the label, and is not what the picture shows
    "unreadable",
    "groups",  # images that seem to belong together, such as the frames of a film
    "problems",  # dark, blurred, tiny and so on
    "outliers",
    "balance",
]
Weight = Literal["alarm", "look", "note", "fine"]
# alarm: figures are wrong until it is mended. look: images to look at. note: worth knowing. fine: nothing found.


class Finding(NamedTuple):
    """An image, or several that belong together, and what is found about them.

    Attributes:
        paths: The image to look at first, then its partners.
        text: What is found, in words.
        score: What the findings of a check are ranked by, the largest first; the check says what it is.
        kind: What sort of finding it is within its check, such as `near copy` or `dark`.
        suggestion: The label that a suspect label should perhaps be; None elsewhere.
    """

    paths: tuple[str, ...]
    text: str
    score: float
    kind: str
    suggestion: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**self._asdict(), "paths": list(self.paths)}


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one check.

    Attributes:
        name: Its name in JSON and CSV.
        title: Its name for people.
        weight: How serious the result is.
        verdict: The result in one sentence.
        findings: The images, the worst first.
        figures: The numbers that the verdict rests on, as plain JSON values.
        table: Figures as a table; None if there are none to show.
        advice: What to do, such as a command; empty if there is nothing to do.
    """

    name: CheckName
    title: str
    weight: Weight
    verdict: str
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None
    advice: str = ""

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "weight": self.weight,
            "verdict": self.verdict,
            "findings": [finding.describe() for finding in self.findings],
            "figures": dict(self.figures),
            "advice": self.advice,
        }
