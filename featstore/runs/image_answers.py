"""The answers of a run to the images of a data set, with the right ones where they are known."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from featstore.system.figures import figure
from featstore.system.text import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ImageAnswer(NamedTuple):
    """The answer to one image.

    Attributes:
        path: Path of the image.
        split: Its split, as in `Evaluation.metrics`.
        label: The right class; None where it is not known.
        answer: The most probable class.
        probability: Probability of the answer.
        probability_of_label: Probability of the right class; None where it is not known.
    """

    path: str
    split: str
    label: str | None
    answer: str
    probability: float
    probability_of_label: float | None


@dataclass(frozen=True, eq=False)
class ImageAnswers:
    """The answers to n images, labelled or not, in the order of the data.

    Attributes:
        classes: Names of the classes, in the order of the probabilities.
        paths: Path of each image.
        splits: Its split.
        labels: Its right class; None where it is not known.
        probabilities: (n, classes) of each class.
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[str | None, ...]
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, place: int) -> ImageAnswer:
        """Return the answer to one image."""
        row, label = self.probabilities[place], self.labels[place]
        best = int(row.argmax())
        of_label = None if label is None else float(row[self.classes.index(label)])
        return ImageAnswer(self.paths[place], self.splits[place], label, self.classes[best], float(row[best]), of_label)

    def wrong(self) -> list[ImageAnswer]:
        """Return the wrong answers of all splits, the most confident first."""
        column = {name: place for place, name in enumerate(self.classes)}
        best = self.probabilities.argmax(axis=1).tolist()
        wrong = [place for place, name in enumerate(self.labels) if name is not None and column[name] != best[place]]
        return sorted((self[place] for place in wrong), key=lambda answer: (-answer.probability, answer.path))

    def of(self, places: Sequence[int]) -> ImageAnswers:
        """Return the answers to some of the images."""
        return ImageAnswers(
            classes=self.classes,
            paths=tuple(self.paths[place] for place in places),
            splits=tuple(self.splits[place] for place in places),
            labels=tuple(self.labels[place] for place in places),
            probabilities=self.probabilities[list(places)],
        )

    def to_csv(self, text: Callable[[str], str] = str) -> bytes:
        """Return a row for each image: path, split, label, answer, its probability, and that of each class.

        text: what becomes of a text that others have chosen: a spreadsheet may take it for a formula.
        """
        file = io.StringIO()
        rows = csv.writer(file)
        rows.writerow(["path", "split", "label", "answer", "probability", *(f"p:{name}" for name in self.classes)])
        for place in range(len(self)):
            one = self[place]
            words = (text(word) for word in (one.path, one.split, one.label or "", one.answer))
            rows.writerow([*words, one.probability, *self.probabilities[place].tolist()])
        return file.getvalue().encode("utf-8", "surrogateescape")


def wrong_table(answers: Sequence[ImageAnswer]) -> Table:
    """Return wrong answers as a table."""
    rows = []
    for one in answers:
        shares = (figure(one.probability), figure(one.probability_of_label or 0.0))
        rows.append((one.path, one.split, one.label or "", one.answer, *shares))
    return Table(("image", "split", "label", "answer", "probability", "of the label"), rows)
