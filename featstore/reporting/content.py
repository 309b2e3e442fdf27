"""What a report shows: results, and every image with what is known of it. The page is made from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from featstore.auditing.result import Audit
    from featstore.comparison.learning_result import LearningCurve
    from featstore.datasets.summary import DataSummary
    from featstore.explanation.result import Explanation
    from featstore.heads.interface import Curve
    from featstore.runs.run import Run
    from featstore.runs.side_by_side import RunComparison
    from featstore.sweeping.result import Sweep


class ReportImage(NamedTuple):
    """An image on the page.

    Attributes:
        path: Path, relative to the data set where it is inside.
        file: Path by which it can be read, as the findings of an audit name it.
        label: The right class; None where it is not known.
        split: Its split; `new` for an image that the run was not made with; None where it has no label and no split.
        answer: The most probable class by the first run.
        probability: Probability of the answer.
        of_label: Probability of the right class; None where it is not known.
        place: (x, y) on the map, both 0 to 1.
        answers: The classes that it may be, with the promise of the run (see `runs/answers.py`); one for a sure answer.
    """

    path: str
    file: str
    label: str | None
    split: str | None
    answer: str
    probability: float
    of_label: float | None
    place: tuple[float, float]
    answers: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether the right class is known, and is not the answer."""
        return self.label is not None and self.label != self.answer


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that the page shows.

    Attributes:
        title: Name of the data set.
        created: Date and time in UTC as in ISO 8601.
        command: The command line that made the report; None if a program did.
        summary: What a reader must know, in plain sentences, the most important first: whether the figures may be
            believed, the best head and what is not significantly different from it, whether more photos would help,
            what to look at.
        data: Classes and counts by split, and notes.
        audit: The audit; None if it was left out.
        runs: The runs, the best first, with what was measured on these data; the first one is explained.
        curves: Course of the training of each run that has one, by the name of its folder.
        comparison: The runs side by side; None for one run.
        sweep: The sweep that found the first run; None for runs that were there before.
        learning: Accuracy by the number of training images; None if it was left out.
        images: The images on the map, in galleries and in cells of the confusion matrix, in the order of the data.
        total: How many images there are; more than `images` if they are a sample.
        explanations: Heat maps by `ReportImage.path`.
        versions: Versions of featstore and of the libraries.
        with_images: Whether thumbnails are on the page.
        promise: Share of images for which the right class is among `ReportImage.answers`; None without a promise.
        wrong: Wrong answers to held-out images, the most confident first, as `ReportImage.path`: the gallery.
        unsure: Held-out images whose answers are least sure, the least sure first.
        commands: What a reader may do next, as pairs of its purpose and a command line.
        notes: What the page lacks, and why: a sample instead of all images, no heat maps, files that are gone.
    """

    title: str
    created: str
    command: str | None
    summary: tuple[str, ...]
    data: DataSummary
    audit: Audit | None
    runs: tuple[Run, ...]
    curves: dict[str, Curve]
    comparison: RunComparison | None
    sweep: Sweep | None
    learning: LearningCurve | None
    images: tuple[ReportImage, ...]
    total: int
    explanations: dict[str, Explanation]
    versions: dict[str, str]
    with_images: bool = True
    promise: float | None = None
    wrong: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return what `featstore report --json` prints: the same figures as on the page."""
        return {
            "title": self.title,
            "created": self.created,
            "summary": list(self.summary),
            "data": self.data.describe(),
            "audit": self.audit.describe() if self.audit else None,
            "runs": [run.describe() | {"folder": str(run.folder)} for run in self.runs],
            "comparison": self.comparison.describe() if self.comparison else None,
            "sweep": self.sweep.describe() if self.sweep else None,
            "learning": self.learning.describe() if self.learning else None,
            "images": len(self.images),
            "total": self.total,
            "explanations": {path: one.describe() for path, one in self.explanations.items()},
            "promise": self.promise,
            "wrong": list(self.wrong),
            "unsure": list(self.unsure),
            "commands": [list(command) for command in self.commands],
            "notes": list(self.notes),
            "versions": self.versions,
        }
