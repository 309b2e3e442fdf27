"""The file that a competition wants: a row for each image under its id, with the names of columns and the order asked.

How it is to look is settled before anything is computed. A row that would be missing, doubled or of another image is an
error: the score would be wrong, and nobody would know.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from featstore.datasets.array_files import ARRAYS, PIXELS
from featstore.datasets.labels import clean_label
from featstore.datasets.manifest import Skipped
from featstore.datasets.table_files import read_table
from featstore.errors import DataError, UsageError, param
from featstore.runs.submission_options import SubmissionOptions
from featstore.system.member_paths import unpacked_path
from featstore.system.text import count, listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


IdKind = Literal["stem", "name", "number"]
_ID_KINDS: tuple[IdKind, ...] = ("stem", "name", "number")
_LABEL, _PROBABILITY = "label", "p:"
_EXAMPLE = "id,label"


class _Image(Protocol):
    """An image that was predicted, as `ImagePrediction`."""

    @property
    def path(self) -> str: ...
    @property
    def probabilities(self) -> tuple[float, ...]: ...


class _Predicted(Protocol):
    """Predictions, as `Prediction`."""

    @property
    def images(self) -> Sequence[_Image]: ...
    @property
    def skipped(self) -> Sequence[Skipped]: ...
    @property
    def layout(self) -> str: ...


class _Column(NamedTuple):
    """A column of answers: its name, and the class whose probability it has; None for the label."""

    name: str
    of_class: str | None


@dataclass(frozen=True, kw_only=True)
class Submission:
    """How the file is to look.

    Attributes:
        id_name: Name of the column of ids.
        id_kind: What they are: `stem`, `name` or `number`; None where it is to be found out.
        columns: The columns of answers.
        classes: The classes of the run.
        sample: The file that the ids are from; None without one.
        ids: The ids in their order; None without a sample.
        fill: Whether images that cannot be read get the mean of all answers.
    """

    id_name: str
    id_kind: IdKind | None
    columns: tuple[_Column, ...]
    classes: tuple[str, ...]
    sample: str | None = None
    ids: tuple[str, ...] | None = None
    fill: bool = False

    def describe(self) -> str:
        """Return what the columns hold, in words."""
        held = [f"{name} is {'the label' if of is None else f'the probability of {of!r}'}" for name, of in self.columns]
        return f"submission: {listed(held, 3)}"

    def write(self, prediction: _Predicted) -> bytes:
        """Return the file; raises DataError if an image is missing, or if two have the same id."""
        import numpy as np

        kind = self.id_kind or ("number" if prediction.layout in (ARRAYS, PIXELS) else "stem")
        if kind == "number" and prediction.layout not in (ARRAYS, PIXELS):
            raise UsageError(
                f"{param('submission')}: number counts the rows of a table of pixels; the ids of files are their "
                "names: use stem or name"
            )
        probabilities = np.array([image.probabilities for image in prediction.images])
        paths = [image.path for image in prediction.images]
        if self.ids is None:
            ids, rows = self._all(paths, kind, prediction.skipped)
        else:
            ids, rows = self._as_in_sample(self.ids, paths, kind, prediction.skipped)
        return self._csv(ids, rows, probabilities)

    def _all(
        self, paths: Sequence[str], kind: IdKind, skipped: Sequence[Skipped]
    ) -> tuple[Sequence[str], list[int | None]]:
        """Return the ids and rows of all images: in the order given, or that of numbers if all ids are numbers."""
        places = _by_id(paths, kind)
        lost = _by_id([item.path for item in skipped], kind) if self.fill else {}
        if skipped and not self.fill:
            raise DataError(_unreadable(skipped))
        if both := [name for name in lost if name in places]:
            raise DataError(f"two images have the id {both[0]!r}, and one of them cannot be read: rename one")
        rows: dict[str, int | None] = {**places, **dict.fromkeys(lost)}
        ids = sorted(rows, key=int) if all(name.isascii() and name.isdigit() for name in rows) else list(rows)
        return ids, [rows[name] for name in ids]

    def _as_in_sample(
        self, ids: tuple[str, ...], paths: Sequence[str], kind: IdKind, skipped: Sequence[Skipped]
    ) -> tuple[Sequence[str], list[int | None]]:
        """Return the ids of the sample in its order, and the row of each; None for an image that cannot be read."""
        kinds: Sequence[IdKind] = [kind] if self.id_kind or kind == "number" else ("name", "stem")
        depth = ids[0].count("/")
        wanted = set(ids)
        found = [_by_id(paths, some, depth, wanted) for some in kinds]
        lost = [_by_id([item.path for item in skipped], some, depth, wanted) for some in kinds]
        best = max(range(len(kinds)), key=lambda i: len(found[i]) + len(lost[i]))
        if absent := [name for name in ids if name not in found[best] and name not in lost[best]]:
            called = f"; the images are called {paths[0]} and so on" if len(absent) == len(ids) else ""
            raise DataError(
                f"{self.sample}: {len(absent)} of its {count(len(ids), 'id')} have no image, such as "
                f"{listed([repr(name) for name in absent], 3)}{called}"
            )
        unread = [item for place, item in enumerate(skipped) if place in lost[best].values()]
        if unread and not self.fill:
            raise DataError(_unreadable(unread))
        return ids, [found[best].get(name) for name in ids]

    def _csv(self, ids: Sequence[str], rows: Sequence[int | None], probabilities: NDArray[np.float64]) -> bytes:
        """Return the file with the `probabilities` (n, classes) in these rows; None is their mean."""
        file, mean = io.StringIO(), probabilities.mean(axis=0)
        writer = csv.writer(file)
        writer.writerow([self.id_name, *(column.name for column in self.columns)])
        for name, row in zip(ids, rows, strict=True):
            shares = mean if row is None else probabilities[row]
            writer.writerow([name, *(self._cell(column, shares) for column in self.columns)])
        return file.getvalue().encode("utf-8", "surrogateescape")

    def _cell(self, column: _Column, shares: NDArray[np.float64]) -> str | float:
        if column.of_class is None:
            return self.classes[int(shares.argmax())]
        return float(shares[self.classes.index(column.of_class)])


def plan_submission(options: SubmissionOptions, classes: Sequence[str]) -> Submission | None:
    """Return how the file is to look; None if none is asked for. Raises UsageError, DataError for the sample."""
    if options.submission is None and options.sample is None:
        for name, value in (("positive", options.positive), ("fill", options.fill or None)):
            if value is not None:
                raise UsageError(f"{param(name, value)}: has no effect without {param('submission', _EXAMPLE)}")
        return None
    if options.positive is not None and options.positive not in classes:
        raise UsageError(f"{param('positive', options.positive)}: is not a class of the run: {', '.join(classes)}")
    given = _parse(options.submission, classes) if options.submission is not None else None
    sample = _read_sample(options.sample) if options.sample is not None else None
    if given and sample and (names := [item.name for item in given]) != list(sample.columns):
        raise UsageError(
            f"{param('submission', options.submission)}: {options.sample} has the columns {','.join(sample.columns)}, "
            f"found {','.join(names)}; leave {param('submission')} out, and they are taken from it"
        )
    wanted = given or [_Item(name, None) for name in sample.columns] if sample else given or []
    id_item, *others = wanted
    id_kind: IdKind | None = next((kind for kind in _ID_KINDS if kind == id_item.content), None)
    if id_item.content is not None and id_kind is None:
        raise UsageError(
            f"{param('submission', options.submission)}: the ids may be {', '.join(_ID_KINDS)}; found "
            f"{id_item.content!r}"
        )
    return Submission(
        id_name=id_item.name,
        id_kind=id_kind,
        columns=tuple(_columns(others, classes, options, sample)),
        classes=tuple(classes),
        sample=options.sample,
        ids=sample.ids if sample else None,
        fill=options.fill,
    )


class _Item(NamedTuple):
    """A column as it was asked for: its name, and its content where that is given."""

    name: str
    content: str | None


class _Sample(NamedTuple):
    """A sample submission: its columns, its ids, and the different cells of its second column."""

    columns: tuple[str, ...]
    ids: tuple[str, ...]
    answers: frozenset[str]


def _parse(text: str, classes: Sequence[str]) -> list[_Item]:
    """Return the columns of `ID=content,NAME=content,...`; a class may have `=` in its name."""
    items = []
    for part in text.split(","):
        name, equals, content = part.strip().partition("=")
        whole = part.strip() in classes
        items.append(_Item(part.strip(), None) if whole or not equals else _Item(name.strip(), content.strip()))
    if not all(item.name for item in items):
        raise UsageError(f"{param('submission', text)}: expected the names of columns, as in {_EXAMPLE}")
    return items


def _read_sample(path: str) -> _Sample:
    """Return the sample submission in a file; raises DataError if it is none."""
    table = read_table(path)
    if not table.columns or not table.rows:
        raise DataError(f"{path}: has no rows; expected the sample submission of the competition")
    ids = tuple(row[0].strip() for row in table.rows)
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(name for name in ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(f"{path}: has the id {twice!r} twice")
    answers = frozenset(clean_label(row[1]) for row in table.rows) if len(table.columns) > 1 else frozenset()
    return _Sample(table.columns, ids, answers)


def _columns(
    items: Sequence[_Item], classes: Sequence[str], options: SubmissionOptions, sample: _Sample | None
) -> Iterator[_Column]:
    """Yield what each column of answers holds."""
    asked = param("submission", options.submission) if options.submission else f"{options.sample}"
    if len(items) != 1 and options.positive is not None:
        raise UsageError(f"{param('positive', options.positive)}: is for one column of answers; {asked} has not one")
    if not items:
        yield from (_Column(name, name) for name in classes)
    elif len(items) == 1:
        yield _only_column(items[0], classes, options, sample)
    else:
        of_classes = {name: clean_label(name) for name, content in items if content is None}
        if strange := [name for name, label in of_classes.items() if label not in classes]:
            raise UsageError(
                f"{asked}: the columns {listed([repr(name) for name in strange])} are not classes of the run: "
                f"{listed(list(classes), 10)}; say what they hold, as in {strange[0]}=p:{classes[0]}"
            )
        if len(of_classes) == len(items) and (left := [name for name in classes if name not in of_classes.values()]):
            raise UsageError(f"{asked}: has no column of {listed([repr(name) for name in left])}")
        for name, content in items:
            yield _column(name, f"{_PROBABILITY}{of_classes[name]}" if content is None else content, classes)


def _only_column(item: _Item, classes: Sequence[str], options: SubmissionOptions, sample: _Sample | None) -> _Column:
    """Return what the only column holds: of two classes a probability, of more the label, unless something else says.

    A sample whose cells are classes wants the label.
    """
    if item.content is not None:
        if options.positive is not None:
            raise UsageError(f"{param('positive', options.positive)}: {item.name}={item.content} says what is written")
        return _column(item.name, item.content, classes)
    if options.positive is not None:
        return _Column(item.name, options.positive)
    cells = sample.answers - {""} if sample else frozenset()
    if strange := sorted(cell for cell in cells if not (cell in classes or _is_number(cell))):
        raise UsageError(
            f"{options.sample}: {item.name} has {listed([repr(cell) for cell in strange])}, the classes of the run are "
            f"{listed(list(classes), 10)}: say what is wanted, as in {param('submission', f'ID,{item.name}=label')}"
        )
    if len(classes) != 2:
        return _Column(item.name, None)
    if cells and cells <= set(classes):
        if any(map(_is_number, cells)):  # 0 and 1 may be classes, or the ends of a probability
            raise UsageError(
                f"{options.sample}: {item.name} may be the label or a probability: give "
                f"{param('positive', classes[1])} for its probability, or "
                f"{param('submission', f'ID,{item.name}=label')}"
            )
        return _Column(item.name, None)
    return _Column(item.name, classes[1])


def _column(name: str, content: str, classes: Sequence[str]) -> _Column:
    if content == _LABEL:
        return _Column(name, None)
    of_class = content.removeprefix(_PROBABILITY)
    if of_class == content or of_class not in classes:
        raise UsageError(
            f"{param('submission')}: {name}={content} is not known: use label or {_PROBABILITY}{classes[0]}, as in "
            f"id,{name}=label"
        )
    return _Column(name, of_class)


def _by_id(paths: Sequence[str], kind: IdKind, depth: int = 0, wanted: set[str] | None = None) -> Mapping[str, int]:
    """Return the place of each path by its id, or only of ids that are `wanted`; raises DataError if two have the same.

    depth: how many folders are part of an id.
    """
    places: dict[str, int] = {}
    for place, path in enumerate(paths):
        name = str(place + 1) if kind == "number" else _name(path, kind, depth)
        if wanted is not None and name not in wanted:
            continue
        if name in places:
            raise DataError(
                f"{path} and {paths[places[name]]} have the same id {name!r}: a submission has one row for each; "
                "give the folder of the test images alone"
            )
        places[name] = place
    return places


def _name(path: str, kind: IdKind, depth: int) -> str:
    parts = Path(unpacked_path(path)).parts[-1 - depth :]
    last = Path(parts[-1]).stem if kind == "stem" else parts[-1]
    return "/".join((*parts[:-1], last))


def _unreadable(skipped: Sequence[Skipped]) -> str:
    path, reason = skipped[0]
    return (
        f"{count(len(skipped), 'image')} of the submission cannot be read, such as {path} ({reason}): repair it, or "
        f"give {param('fill')}, and it gets the mean of all answers"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
