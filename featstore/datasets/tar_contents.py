"""What a pass over the headers of a tar finds. With an index that was kept, this is needed and the pass is not."""

from __future__ import annotations

from dataclasses import dataclass, field

from featstore.datasets.manifest import Skipped


@dataclass
class Contents:
    """What the headers of a tar say.

    Attributes:
        files: name -> (start, size) of its bytes in the tar.
        labels: name of a `.cls` or `.json` file -> the label that it gives.
        skipped: What cannot be used, with the reasons.
        notes: What is worth knowing about the tar.
    """

    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
