"""The options of a submission: defined here only; the command line makes its options of the fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SubmissionOptions:
    """What a competition wants.

    Attributes:
        submission: Write a file for a competition, with these columns: that of the ids, and that of the answers, as in
            id,label; the ids alone for a column of each class. Ids are the names of files without their ending;
            image=name,label keeps it.
        sample: The sample submission of the competition: columns, ids and their order are taken from it.
        positive: The class whose probability is written, where there is one column. Default: of two classes the
            second.
        fill: Give images that cannot be read the mean of all answers. Without this they are an error.
    """

    submission: str | None = None
    sample: str | None = None
    positive: str | None = None
    fill: bool = False
