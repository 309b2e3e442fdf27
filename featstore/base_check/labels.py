"""The labels of the images of a check: from a CSV, or from the names of the folders, as numbers of classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featstore.base_check.class_index import IMAGENET_FILE, ClassIndex, is_wnid
from featstore.bases.weights_file import IMAGENET_CLASSES
from featstore.datasets.columns import understand_columns
from featstore.datasets.manifest import Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import read_table
from featstore.errors import DataError, param
from featstore.objects.places import absolute, folder_of, join, kind_of, normal, one_place
from featstore.system.member_paths import unpacked_path
from featstore.system.paths import is_url
from featstore.system.text import listed

FOLDERS = "folders"
_MOST_CLASSES = 10**6


@dataclass(frozen=True)
class Labels:
    """The number of the class of each labelled image.

    Attributes:
        by_path: Number of the class by the path of the image, as its picture has it.
        source: Where they are from, in words.
    """

    by_path: Mapping[str, int]
    source: str


def read_labels(
    labels: str | os.PathLike[str],
    data: str,
    pictures: Sequence[Picture],
    index: ClassIndex | None,
    classes: int | None = None,
) -> Labels:
    """Return the labels of `pictures`, which are those of `data`.

    labels: `folders` takes the label that an image has in `data`, or else the name of its folder. Anything else is a
    CSV `path,label`, in the working folder or in `data`, with paths relative to the folder of the CSV or to `data`. A
    label is the number of a class, or its WordNet id or name in `index`. classes: number of classes, where it is known.

    Raises DataError with the line for anything else, and where no image has a label.
    """
    if os.fspath(labels) == FOLDERS:
        known = _IndexOfLabels(index, classes)
        return Labels({p.path: known.number(_own_label(p), folder_of(p.path)) for p in pictures}, _source(pictures))
    file = _find(one_place(labels, "labels"), data)
    real_paths = {p.path: _real(p.path) for p in pictures}
    by_real_path = _read_table(file, data, {*real_paths.values()}, _IndexOfLabels(index, classes))
    found = {path: by_real_path[real] for path, real in real_paths.items() if real in by_real_path}
    if not found:
        an_image = f", the first image is {pictures[0].path}" if pictures else ""
        raise DataError(
            f"{data}: none of its {len(pictures)} images is listed in {file}; paths there are relative to "
            f"{folder_of(file) or '.'} or to {data}: the first leads to {next(iter(by_real_path))}{an_image}"
        )
    return Labels(found, file)


def labels_of_folders(pictures: Sequence[Picture], index: ClassIndex | None) -> tuple[Labels | None, str | None]:
    """Return the labels that folders, or the tables that list the images, give by themselves, and a remark.

    There are some where each folder is named by a WordNet id or by a name of `index`, and there are two of these at
    least. A number as a name says nothing: digits are sorted into such folders too.
    """
    folders = {_own_label(p) for p in pictures}
    if len(folders) < 2:
        return None, None
    if index is None:
        if len(folders) == IMAGENET_CLASSES and all(map(is_wnid, folders)):  # then their order is ImageNet's
            ordered = sorted(folders)
            index = ClassIndex(tuple(ordered), tuple(ordered))
        elif all(map(is_wnid, folders)):
            return None, (
                f"the folders are named by WordNet ids, but the numbers of these classes are not known here: put "
                f"{IMAGENET_FILE} next to the weights or into ~/.keras/models, or give it, and accuracy is measured"
            )
        else:
            return None, None
    numbers = {name: index.number(name) for name in folders}
    by_path = {p.path: number for p in pictures if (number := numbers[_own_label(p)]) is not None}
    if len(by_path) < len(pictures):
        return None, None
    return Labels(by_path, _source(pictures)), None


class _IndexOfLabels:
    """Numbers of classes for what a user writes as a label."""

    def __init__(self, index: ClassIndex | None, classes: int | None) -> None:
        self._index, self._classes = index, classes

    def number(self, text: str, where: str) -> int:
        """Return the number of the class `text`; raises DataError, which names the place, where there is none."""
        if self._index and (found := self._index.number(text)) is not None:
            return found
        if text.isascii() and text.isdigit() and len(text) < 8:
            number, most = int(text), self._classes or _MOST_CLASSES
            if number < most:
                return number
            from_one = "; are the labels counted from 1? they are expected from 0" if number == most else ""
            raise DataError(f"{where}: label {text!r}: expected the number of a class, 0 to {most - 1}{from_one}")
        if self._index is None:
            kind = "WordNet ids" if is_wnid(text) else "names"
            raise DataError(
                f"{where}: label {text!r}: {kind} are looked up in the index of the classes, which is not there; put "
                f"{IMAGENET_FILE} next to the weights or into ~/.keras/models, or give the file as "
                f"{param('class_index')}; or label by number"
            )
        raise DataError(
            f"{where}: label {text!r}: expected the number of a class, or a WordNet id or a name, unmistakable, of "
            f"{self._index.source}"
        )


def _find(file: str, data: str) -> str:
    """Return the CSV where it is: a relative path may start in the working folder or in the folder of the data."""
    inside = join(data, file)
    return inside if kind_of(file) is None and kind_of(inside) else file


def _real(place: str) -> str:
    """Return the one name of a file."""
    return normal(place) if is_url(place) else os.path.realpath(place)


def _is_there(file: str, images: set[str]) -> bool:
    return file in images if is_url(file) else os.path.exists(file)


def _own_label(picture: Picture) -> str:
    """Return the label of the image in its table, or else the name of its folder."""
    return picture.label or os.path.basename(folder_of(absolute(unpacked_path(picture.path))))


def _source(pictures: Sequence[Picture]) -> str:
    return "those of the data" if any(p.label for p in pictures) else "the names of the folders"


def _read_table(file: str, data: str, images: set[str], known: _IndexOfLabels) -> dict[str, int]:
    """Return numbers of classes by the real path of the image, from a table of any dialect.

    images: the real paths of those of the data: no object is asked for.
    """
    if kind_of(file) is None:
        raise DataError(f"{file}: no such file; expected a CSV path,label, here or in {data}, or `{FOLDERS}`")
    table = read_table(file)
    columns = understand_columns(table, DataOptions())
    if columns.label is None:
        raise DataError(f"{file}: expected the columns path,label, found {listed(table.columns)}")
    labels: dict[str, int] = {}
    for row, (written, label) in enumerate(zip(table.cells(columns.path), table.cells(columns.label), strict=True)):
        where, path = table.place(row), written.strip()
        if not path or "\0" in path:
            raise DataError(f"{where}: has no path; expected path,label")
        image, inside = _real(join(folder_of(file), path)), _real(join(data, path))
        if not _is_there(image, images) and _is_there(inside, images):
            image = inside
        if image in labels:
            raise DataError(f"{where}: {path} is listed more than once")
        labels[image] = known.number(label.strip(), where)
    if not labels:
        raise DataError(f"{file}: has no labels; expected rows path,label")
    return labels
