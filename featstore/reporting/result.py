"""A report that is written: where it is, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featstore.datasets.manifest import Skipped
from featstore.reporting.content import Content
from featstore.reporting.summary import told_first
from featstore.system.figures import megabytes
from featstore.system.text import Shown, Table


@dataclass(frozen=True, repr=False, kw_only=True)
class Report(Shown):
    """A report as it was written.

    Attributes:
        path: The page: one HTML file that needs nothing else.
        bytes: Its size.
        content: All that is on it.
        trained_on: Lines about held-out images that a run which was there before was trained on.
        skipped: Files that could not be read, with the reason.
    """

    path: Path
    bytes: int
    content: Content
    trained_on: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def alarms(self) -> tuple[str, ...]:
        """What makes figures wrong: the verdicts of the audit, or what is known of copies where none was made."""
        audit = self.content.audit
        found = self.content.data.leaks if audit is None else [check.verdict for check in told_first(audit)]
        return (*self.trained_on, *found)

    def parts(self) -> Iterator[str | Table]:
        """Yield the summary, what the page lacks, and where it is."""
        yield from self.content.summary
        yield from self.content.notes
        yield f"written to {self.path} ({megabytes(self.bytes)} MB)"

    def describe(self) -> dict[str, Any]:
        """Return what `featstore report --json` prints: the figures of the page, and where it is."""
        skipped = [item._asdict() for item in self.skipped]
        return self.content.describe() | {"report": str(self.path), "bytes": self.bytes, "skipped": skipped}
