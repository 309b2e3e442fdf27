"""The check for files that are not used as images, with the reasons."""

from __future__ import annotations

from collections import Counter

from featstore.auditing.findings import Check, Finding
from featstore.auditing.subject import Subject
from featstore.system.text import count

TITLE = "Files left out"


def check_unreadable(subject: Subject) -> Check:
    """List the files that are left out: they cannot be read, or are links that lead out of the data set."""
    skipped = subject.manifest.skipped
    reasons = Counter(reason for _, reason in skipped)
    return Check(
        name="unreadable",
        title=TITLE,
        weight="look" if skipped else "fine",
        verdict=_verdict(reasons),
        findings=tuple(Finding((path,), reason, 0.0, "left out") for path, reason in skipped),
        figures={"left_out": len(skipped), "used": len(subject.manifest), "reasons": dict(reasons)},
        advice="mend or remove them, or leave them: they are not used" if skipped else "",
    )


def _verdict(reasons: Counter[str]) -> str:
    """Return how many files are left out, and the commonest reason."""
    if not reasons:
        return "every image file could be read"
    [(reason, number)] = reasons.most_common(1)
    left_out = f"{count(reasons.total(), 'file')} left out"
    return f"{left_out}: {reason}" if len(reasons) == 1 else f"{left_out}, {number:,} of them for one reason: {reason}"
