"""Paths as callers give them: one or several, in any of the forms that Python has for them.

A text is one path, never a list of its letters, of which `/` would be the whole disk. Every function that takes paths
of a caller goes through `one_or_more`, and every walk over a folder through `refuse_whole_disk`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from featstore.errors import UsageError, param

OnePath = str | os.PathLike[str]
OneOrMorePaths = OnePath | Iterable[OnePath]


def is_path(given: object) -> TypeGuard[OnePath]:
    """Return whether `given` is one path, and so must never be iterated over."""
    return isinstance(given, str | bytes | os.PathLike)


def one_or_more(given: OneOrMorePaths, name: str) -> list[str]:
    """Return the paths in `given`, the argument `name`: one path, or any iterable of them.

    An array or a table of one column counts as a list. Raises UsageError for anything that is not a path.
    """
    if is_path(given):
        return [_one(given, name)]
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"{param(name)}: expected a path or a list of paths, found {_kind(given)}")
    return [_one(path, name) for path in _column(given, name)]


def one_path(given: OnePath, name: str) -> str:
    """Return the one path in `given`, the argument `name`; raises UsageError for anything else."""
    if not is_path(given):
        raise UsageError(f"{param(name)}: expected one path, found {_kind(given)}")
    return _one(given, name)


def refuse_whole_disk(folder: str) -> None:
    """Raise UsageError for the root of the disk, a home folder, or a folder of homes.

    Nobody keeps a data set there, while a slip of the hand leads there, and every file below would be read.
    """
    home, real = os.path.realpath(os.path.expanduser("~")), os.path.realpath(folder)
    if os.path.commonpath([home, real]) == real:
        what = "your home folder" if real == home else "the whole disk" if real == os.sep else "a folder of homes"
        raise UsageError(f"{folder}: is {what}, and every file below it would be read; name the folder of the images")


def _one(given: Any, name: str) -> str:
    if not is_path(given):
        raise UsageError(f"{param(name)}: expected paths, found {_kind(given)} among them")
    path = str(os.fsdecode(given))  # a plain str: NumPy's kind of text is a subclass
    if not path:
        raise UsageError(f"{param(name)}: expected a path, found an empty text")
    return path


def _column(given: Any, name: str) -> Iterable[Any]:
    """Return the values of an array or a table of one column, else `given` itself."""
    shape = getattr(given, "shape", None)
    if not isinstance(shape, tuple) or len(shape) == 1:
        return given  # type: ignore[no-any-return]
    if shape and shape[1:] != (1,):
        columns = ", ".join(map(str, getattr(given, "columns", ())))
        found = f"the columns {columns}" if columns else f"an array of shape {shape}"
        raise UsageError(f"{param(name)}: expected one column of paths, found {found}")
    import numpy as np

    return np.asarray(given).reshape(-1).tolist()


def _kind(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 40 and "\n" not in text else f"a {type(value).__name__}"
