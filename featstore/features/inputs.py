"""What scikit-learn hands to a transformer of images: a path or an image for each row, in any container it knows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from featstore.datasets.arrays import is_image, write_single_images
from featstore.datasets.file_lists import list_files
from featstore.datasets.in_memory import Frame
from featstore.datasets.manifest import Manifest
from featstore.datasets.tars import named_tars
from featstore.errors import DataError, UnreadableImage, UsageError, param
from featstore.objects.places import folder_of, places
from featstore.system.paths import OneOrMorePaths, is_path

ImagesLike: TypeAlias = OneOrMorePaths | Frame | Iterable[Any]

_EXPECTED = f"{param('X')}: expected images or their paths"


class NotImages(UsageError, ValueError):
    """An X that has neither images nor paths. scikit-learn expects a ValueError for what it cannot use."""


def list_images(X: ImagesLike, cache: Path) -> Manifest:
    """Return the manifest of the images in X, in its order; those in memory are written once below the folder `cache`.

    Raises NotImages for anything that `settle_images` refuses, and for numbers that may mean one thing or another;
    UnreadableImage for a folder.
    """
    images = settle_images(X)
    if isinstance(images, list) and is_path(images[0]):
        if folder := next(filter(os.path.isdir, images), None):  # whose files would be rows that no path stands for
            raise UnreadableImage(f"{folder}: is a folder: name its images one by one")
        if tar := next(filter(named_tars, map(os.fspath, images)), None):
            raise UnreadableImage(f"{tar}: is a tar: name its images one by one, as in x.tar!1.jpg")
        manifest, named = list_files(images), set(images)
        if inside := next((p.path for p in manifest.pictures if p.path not in named), None):
            raise UnreadableImage(f"{folder_of(inside)}: is in a folder that is given: name its images one by one")
        return manifest
    try:
        return list_files(write_single_images(images, cache, "X"))
    except DataError as error:
        raise NotImages(*error.args) from error


def settle_images(X: ImagesLike) -> Any:
    """Return X as a list of paths, as a list of images, or as an array of images (n, height, width[, channels]).

    X: one path; or an iterable, a Series, an array or a table of one column of paths or of images, which are arrays or
    objects of Pillow; a table of several columns with one called `path`; an array of images. Nothing is read or
    written. Raises NotImages for anything else.
    """
    if is_path(X):
        return _paths(X)
    if hasattr(X, "tocsr"):
        raise NotImages(f"{_EXPECTED}, found a sparse matrix")
    if hasattr(X, "columns") and not isinstance(X, Mapping):
        X = _column_of_paths(X)
    if hasattr(X, "dtype") and hasattr(X, "shape"):
        array = np.asarray(X)
        if array.shape[:1] == (0,):
            raise NotImages(f"{_EXPECTED}, and there are none given")
        if array.dtype.kind not in "OSUT":
            return _array_of_images(array)
        X = _column_of(array)
    if isinstance(X, Mapping) or not isinstance(X, Iterable):
        raise NotImages(f"{_EXPECTED}, found a {type(X).__name__}")
    items = list(X)
    if not any(map(is_image, items)):
        return _paths(items)
    strange = [type(item).__name__ for item in items if not is_image(item)]
    if strange:
        raise NotImages(f"{_EXPECTED}, found images and a {strange[0]} among them")
    return items


def _column_of(array: Any) -> list[Any]:
    """Return the items of an array of one column."""
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise NotImages(f"{param('X')}: expected one column of paths, found an array of shape {array.shape}")
    return list(array.reshape(-1).tolist())


def _paths(given: Any) -> list[str]:
    try:
        paths = places(given, "X")
    except UsageError as error:
        raise NotImages(*error.args) from error
    if not paths:
        raise NotImages(f"{_EXPECTED}, and there are no paths given")
    return paths


def _column_of_paths(table: Any) -> Any:
    """Return the only column of a table, or the one that is called `path`."""
    names = list(table.columns)
    name = names[0] if len(names) == 1 else "path"
    if names.count(name) != 1:
        raise NotImages(
            f"{param('X')}: expected one column, or one that is called 'path', found the columns "
            f"{', '.join(map(str, names)) or '(none)'}"
        )
    return table[name]


def _array_of_images(X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array of images; raises NotImages for one of another shape or kind."""
    expected = "(n, height, width) or (n, height, width, 3)"
    if X.dtype.kind not in "biuf":
        what = "complex data not supported" if X.dtype.kind == "c" else f"found an array of {X.dtype}"
        raise NotImages(f"{_EXPECTED}; {what}")
    if X.ndim == 3 and X.shape[2] in (1, 3):
        raise NotImages(f"{_EXPECTED}; an array of {X.shape} looks like one image: give a batch of one, X[None]")
    if X.ndim not in (3, 4):
        raise NotImages(f"{_EXPECTED}; an array of images is {expected}, found numbers of shape {X.shape}")
    return X
