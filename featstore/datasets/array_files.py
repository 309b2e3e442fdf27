"""Data sets that are arrays: a .npz or .npy file, a table of pixels, arrays in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from featstore.datasets.arrays import write_images
from featstore.datasets.columns import label_column
from featstore.datasets.labels import clean_label
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import TextTable, text_of
from featstore.errors import DataError
from featstore.system.files import FileStat
from featstore.system.text import listed

ARRAY_ENDINGS = (".npz", ".npy")
_PIXEL = re.compile(r"(pixel|px|p)?[ _]?\d+|\d+x\d+", re.IGNORECASE)
_LEAST_PIXELS = 16

# The names of sets of arrays: those of keras.datasets, MedMNIST and scikit-learn, and the usual ones of a single set.
_SPLITS: dict[str, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_PAIRS = (
    ("x", "y"),
    ("images", "labels"),
    ("image", "label"),
    ("images", "targets"),
    ("data", "target"),
    ("data", "labels"),
    ("features", "labels"),
    ("imgs", "labels"),
    ("arr_0", "arr_1"),
)


def scan_array_file(path: Path, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of the images in a .npz or .npy file, which are written below the folder `cache`."""
    import numpy as np

    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            is_one = isinstance(found, np.ndarray)
            arrays = {"images": found} if is_one else {name: found[name] for name in found.files}
    except Exception as error:  # NumPy raises many kinds for a damaged file
        raise DataError(
            f"{path}: cannot be read as arrays of numbers that NumPy has saved; save them by numpy.savez again"
        ) from error
    return scan_arrays(arrays, str(path), options, cache)


def scan_arrays(arrays: Mapping[str, Any], source: str, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of named arrays, such as `x_train` and `y_train`."""
    groups = _groups_in(list(arrays))
    if not groups:
        raise DataError(
            f"{source}: no images among the arrays {listed(list(arrays))}; expected X and y, images and labels, or "
            "x_train, y_train, x_test and y_test"
        )
    pictures: list[Picture] = []
    for split, images, labels in groups:
        what = f"{source}, {images}"
        paths = write_images(arrays[images], cache, what, split)
        found = _as_labels(arrays[labels], len(paths), f"{source}, {labels}") if labels else [None] * len(paths)
        pictures += _pictures(paths, found, split)
    return _manifest(pictures, source, options)


def scan_pairs(images: Any, labels: Any, source: str, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of images in memory with their labels; without labels if these are None."""
    paths = write_images(images, cache, source)
    found = [None] * len(paths) if labels is None else _as_labels(labels, len(paths), f"{source}, labels")
    return _manifest(_pictures(paths, found, None), source, options)


def is_table_of_pixels(table: TextTable) -> bool:
    """Return whether each row of a table is an image, as Kaggle's digits are: `label,pixel0,pixel1,...`."""
    return len(_pixel_columns(table)) >= _LEAST_PIXELS


def scan_pixels(table: TextTable, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of a table of pixels: square grey images, a row each, and the labels if it has them."""
    import numpy as np

    columns = _pixel_columns(table)
    side = round(len(columns) ** 0.5)
    if side * side != len(columns):
        raise DataError(f"{table.source}: {len(columns)} columns of pixels are not a square image of one channel")
    others = [c for c in range(len(table.columns)) if c not in set(columns)]
    try:
        levels = np.array([[int(row[c]) for c in columns] for row in table.rows])
    except ValueError as error:
        raise DataError(f"{table.source}: expected pixels from 0 to 255: {error}") from error
    label, hint = label_column(table, others, options)
    labels = None if label is None else table.cells(label)
    manifest = scan_pairs(levels.reshape(-1, side, side), labels, table.source, options, cache)
    note = f"each row of the table is taken for an image of {side}x{side} pixels"
    return Manifest(manifest.source, manifest.pictures, (), options, "table of pixels", (note,), hint)


def _pixel_columns(table: TextTable) -> list[int]:
    return [c for c, name in enumerate(table.columns) if _PIXEL.fullmatch(name.strip())]


def _as_labels(labels: Any, count: int, what: str) -> list[str]:
    """Return one label for each of `count` images as text, from numbers, words or one-hot rows; raises DataError."""
    import numpy as np

    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "buif" and (array.sum(1) == 1).all() and np.isin(array, (0, 1)).all():
        array = array.argmax(1)
    if array.ndim != 1 or len(array) != count:
        raise DataError(f"{what}: expected a label for each of {count:,} images, found {array.shape}")
    return [text_of(value) for value in array.tolist()]


def _groups_in(names: Sequence[str]) -> list[tuple[str | None, str, str | None]]:
    """Return (split, name of the images, name of the labels) for each set of arrays among `names`."""
    by_lower = {name.lower(): name for name in names}
    found: list[tuple[str | None, str, str | None]] = []
    for split, words in _SPLITS.items():
        for images, labels in _of_split(words):
            if images in by_lower and not any(group[0] == split for group in found):
                found.append((split, by_lower[images], by_lower.get(labels)))
    if found:
        return found
    for images, labels in _PAIRS:
        if images in by_lower:
            return [(None, by_lower[images], by_lower.get(labels))]
    return []


def _of_split(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the names of images and labels of a split: `x_train` and `y_train`, `train_images` and `train_labels`."""
    for word in words:
        for images, labels in _PAIRS[:6]:
            yield f"{images}_{word}", f"{labels}_{word}"
            yield f"{word}_{images}", f"{word}_{labels}"


def _pictures(paths: Sequence[str], labels: Sequence[str | None], split: str | None) -> list[Picture]:
    return [
        Picture(path, FileStat.of(os.stat(path)), (label and clean_label(label)) or None, split)
        for path, label in zip(paths, labels, strict=True)
    ]


def _manifest(pictures: Sequence[Picture], source: str, options: DataOptions) -> Manifest:
    return Manifest(source, tuple(pictures), (), options, "arrays of images")
