"""The check for files that are not used as images, with the reasons."""

from __future__ import annotations

from collections import Counter

from featstore.audit.findings import Check, Finding
from featstore.audit.subject import Subject
from featstore.system.text import count

TITLE = "Files left out"


def check_unreadable(subject: Subject) -> Check:
    """List the files that are left out: they cannot be read, or are links that lead out of the data set."""
    skipped = subject.manifest.skipped
    reasons = Counter(reason for _, reason in skipped)
    common = "; ".join(f"{number:,}: {reason}" for reason, number in reasons.most_common(2))
    return Check(
        name="unreadable",
        title=TITLE,
        weight="look" if skipped else "fine",
        verdict=f"{count(len(skipped), 'file')} left out ({common}{'; ...' if len(reasons) > 2 else ''})"
        if skipped
        else "every image file could be read",
        findings=tuple(Finding((path,), reason, 0.0, "left out") for path, reason in skipped),
        figures={"left_out": len(skipped), "used": len(subject.manifest), "reasons": dict(reasons)},
        advice="mend or remove them, or leave them: they are not used" if skipped else "",
    )
