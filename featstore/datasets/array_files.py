"""Data sets that are arrays: a .npz or .npy file, a table of pixels, arrays in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from featstore.datasets.arrays import write_images
from featstore.datasets.columns import label_column
from featstore.datasets.labels import MISSING, clean_label
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import TextTable, text_of
from featstore.errors import DataError
from featstore.objects.places import read_bytes
from featstore.system.files import FileStat
from featstore.system.paths import is_url
from featstore.system.text import listed

ARRAY_ENDINGS = (".npz", ".npy")

# The names of sets of arrays: those of keras.datasets, MedMNIST and scikit-learn, and the usual ones of a single set.
_SPLITS: dict[str, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
ARRAYS, PIXELS = "arrays of images", "table of pixels"  # layouts whose images have no names of their own

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


def scan_array_file(path: str, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of the images in a .npz or .npy file, which are written below the folder `cache`."""
    import numpy as np

    try:
        with io.BytesIO(read_bytes(path)) if is_url(path) else open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            is_one = isinstance(found, np.ndarray)
            arrays = {"images": found} if is_one else {name: found[name] for name in found.files}
    except Exception as error:  # NumPy raises many kinds for a damaged file
        raise DataError(
            f"{path}: cannot be read as arrays of numbers that NumPy has saved; save them by numpy.savez again"
        ) from error
    return scan_arrays(arrays, path, options, cache)


def scan_arrays(arrays: Mapping[str, Any], source: str, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of named arrays, such as `x_train` and `y_train`."""
    options.refuse_but((), source, "arrays and not a table")
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
    options.refuse_but((), source, "in memory and not a table")
    paths = write_images(images, cache, source)
    found = [None] * len(paths) if labels is None else _as_labels(labels, len(paths), f"{source}, labels")
    return _manifest(_pictures(paths, found, None), source, options)


def scan_pixels(table: TextTable, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of a table of pixels: square grey images, a row each, and the labels if it has them."""
    import numpy as np

    options.refuse_but(("label_column",), table.source, "a table of pixels and not of paths")
    sizes = {len(pixels) for pixels in table.pixels}
    size = sizes.pop()
    side = round(size**0.5)
    if sizes or side * side != size:
        raise DataError(f"{table.source}: {size} pixels in a row are not a square image of one channel")
    levels = np.frombuffer(b"".join(table.pixels), np.uint8).reshape(-1, side, side)
    label, hint, unused = label_column(table, options)
    labels = None if label is None else table.cells(label)
    # As plain numbers, so that their range is checked: levels from 0 to 16 are not those of an image file.
    manifest = scan_pairs(levels.astype(np.int16), labels, table.source, DataOptions(), cache)
    notes = [f"each row of the table is taken for an image of {side}x{side} pixels", *unused]
    return replace(manifest, options=options, layout=PIXELS, notes=tuple(notes), hint=hint)


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
        Picture(path, FileStat.of(os.stat(path)), None if label is None else _label_in(label), split)
        for path, label in zip(paths, labels, strict=True)
    ]


def _label_in(text: str) -> str | None:
    """Return a label as a table has it: NumPy makes the word `nan` of a missing one among words."""
    label = clean_label(text)
    return None if label in MISSING else label


def _manifest(pictures: Sequence[Picture], source: str, options: DataOptions) -> Manifest:
    return Manifest(source, tuple(pictures), (), options, ARRAYS)
