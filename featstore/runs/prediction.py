"""Predictions for new images, with the reading, base and head of the training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.labels import clean_label
from featstore.datasets.manifest import Skipped
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import DataLike, as_images
from featstore.errors import UsageError, param
from featstore.evaluation.strength import strength
from featstore.extraction.cache import CacheLike
from featstore.objects.places import absolute, folder_of, one_place
from featstore.plots.files import Kind, kind_of
from featstore.runs.answers import answers_of, describe_answer, describe_answers, threshold_for
from featstore.runs.predictor import Predictor
from featstore.runs.run import Run
from featstore.system.figures import figure
from featstore.system.files import write_whole
from featstore.system.member_paths import unpacked_path
from featstore.system.paths import OneOrMorePaths, OnePath, one_path
from featstore.system.pinned import pinned
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.system.progress import Progress


class ImagePrediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        path: Path of the image.
        label: The most probable class.
        probability: Probability of that class, 0 to 1.
        probabilities: Probabilities of all classes, in the order of `Run.classes`.
        answers: The classes that it may be, the most probable first, if `unsure` was asked for.
    """

    path: str
    label: str
    probability: float
    probabilities: tuple[float, ...]
    answers: tuple[str, ...] | None = None

    @property
    def strength(self) -> str:
        """The probability as a word: `sure`, `fairly sure`, `leaning` or `a guess`."""
        return strength(self.probability, len(self.probabilities))


@dataclass(frozen=True, repr=False)
class Prediction(Shown):
    """The predictions for a list of images.

    Attributes:
        images: One for each image, in the order given; the images of a folder are sorted by path.
        skipped: Files that could not be read.
        classes: Names of the classes, in the order of the probabilities.
        layout: What was understood of the images, as in `Manifest.layout`.
        unsure: Share of images for which the right class is promised to be among the answers; None without a promise.
    """

    images: tuple[ImagePrediction, ...]
    skipped: tuple[Skipped, ...]
    classes: tuple[str, ...]
    layout: str = ""
    unsure: float | None = None

    def save_sheet(self, path: OnePath, right: Sequence[str | None] | None = None, title: str = "") -> None:
        """Save a sheet of all images with their labels; those that are unsure or wrong are framed in colour.

        Args:
            path: File to write. A .pdf has all images, in pages; a .png the first 200.
            right: The right class of each image, None where it is not known.
            title: Title of the sheet.

        Raises:
            UsageError: `path` has another ending, or `right` another length.
            StoreError: The file cannot be written.
        """
        kind = kind_of(one_path(path, "path"), "path", ("png", "pdf"))
        write_whole(Path(one_path(path, "path")), self.draw_sheet(kind, right, title))

    def save_submission(
        self,
        path: OnePath,
        submission: str | None = None,
        *,
        sample: OnePath | None = None,
        positive: str | None = None,
        fill: bool = False,
    ) -> None:
        """Save the file that a competition wants: a row for each image under its id.

        Args:
            path: File to write.
            submission: Columns of the ids and of the answers, as in `id,label`; the ids alone for a column of each
                class. Default: those of the sample.
            sample: The sample submission of the competition: columns, ids and their order are taken from it.
            positive: The class whose probability is written, where there is one column. Default: of two classes the
                second; of more, the label is written.
            fill: Whether images that could not be read get the mean of all answers; without this they are an error.

        Raises:
            UsageError: The columns do not fit the classes or the sample.
            DataError: An image is missing, or two have the same id.
            StoreError: The file cannot be written.
        """
        from featstore.runs.submission import plan_submission
        from featstore.runs.submission_options import SubmissionOptions

        options = SubmissionOptions(
            submission=submission,
            sample=None if sample is None else one_place(sample, "sample"),
            positive=positive,
            fill=fill,
        )
        plan = plan_submission(options, self.classes)
        if plan is None:
            raise UsageError(f"{param('submission')}: expected the columns, as in id,label, or a sample")
        write_whole(Path(one_path(path, "path")), plan.write(self))

    def draw_sheet(self, kind: Kind = "png", right: Sequence[str | None] | None = None, title: str = "") -> bytes:
        """Return the sheet that `save_sheet` saves, as the bytes of a `png` or `pdf`."""
        from featstore.plots.sheet import NEARLY_AS_LIKELY, Answer, draw_sheet

        if right is not None and len(right) != len(self.images):
            raise UsageError(f"{param('right')}: expected {len(self.images)} labels, found {len(right)}")
        answers = [
            Answer(image.path, image.label, figure(image.probability), _is_unsure(image), label)
            for image, label in zip(self.images, right or [None] * len(self.images), strict=True)
        ]
        means = NEARLY_AS_LIKELY if self.unsure is None else "more than one class may be right"
        return draw_sheet(answers, title, kind, means)

    def parts(self, top: int = 1) -> Iterator[str | Table]:
        """Yield a row for each image, and what its answers promise."""
        yield self.table(top)
        if self.unsure is not None:
            yield describe_answers([image.answers or () for image in self.images], self.unsure)

    def table(self, top: int = 1) -> Table:
        """Return a row for each image, with its `top` most probable classes and their probabilities."""
        header = ["image", "label", "probability", "strength", *(["answer"] if self.unsure is not None else [])]
        for rank in range(2, min(top, len(self.classes)) + 1):
            header += [f"label {rank}", f"probability {rank}"]
        return Table(header, [self._cells(image, top) for image in self.images])

    def _cells(self, image: ImagePrediction, top: int) -> list[str]:
        (label, share), *others = self.most_probable(image, top)
        cells = [image.path, label, figure(share), image.strength]
        if self.unsure is not None:
            cells.append(describe_answer(image.answers or (), len(self.classes)))
        return cells + [cell for name, share in others for cell in (name, figure(share))]

    def most_probable(self, image: ImagePrediction, top: int) -> list[tuple[str, float]]:
        """Return the `top` most probable classes of an image with their probabilities, the most probable first."""
        shares = zip(self.classes, image.probabilities, strict=True)
        return sorted(shares, key=lambda share: -share[1])[:top]


def _is_unsure(image: ImagePrediction) -> bool:
    """Return whether there are several answers; where none were asked for, whether the next class is nearly as likely.

    That is the case if the most probable class is less than twice as probable as the next.
    """
    if image.answers is not None:
        return len(image.answers) > 1
    *_, second, first = sorted(image.probabilities)
    return first < 2 * second


def labels_of_folders(prediction: Prediction) -> list[str | None]:
    """Return the name of each image's folder where it is one of the classes, else None."""
    folders = (folder_of(absolute(unpacked_path(image.path))) for image in prediction.images)
    names = (clean_label(os.path.basename(folder)) for folder in folders)
    return [name if name in prediction.classes else None for name in names]


@pinned()
def predict_images(
    run: Run,
    images: DataLike,
    options: DataOptions | None = None,
    *,
    unsure: float | None = None,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict images; see `featstore.predict`.

    Features go through the cache of the run, so images that were seen before cost nothing and need no weights.
    `weights` are the new paths of moved weights, or of the user's `.keras` bases, one for each base of the run. Raises
    RunError if they are not those of the run, BaseUnavailable if they are wanted and not there, DataError if no image
    can be read.
    """
    threshold = None if unsure is None else threshold_for(run, unsure)
    predictor = Predictor.of(run, weights, cache, progress)
    images = as_images(images, options, predictor.cache)
    extraction = predictor.complete(images)
    pictures = extraction.manifest.pictures
    probabilities = predictor.predict(pictures, extraction)
    answers = [None] * len(pictures) if threshold is None else answers_of(probabilities, threshold, run.classes)
    rows = []
    for picture, row, answer in zip(pictures, probabilities, answers, strict=True):
        best = int(row.argmax())
        rows.append(ImagePrediction(picture.path, run.classes[best], float(row[best]), tuple(map(float, row)), answer))
    return Prediction(tuple(rows), extraction.manifest.skipped, run.classes, images.layout, unsure)
