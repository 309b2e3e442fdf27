"""Paths as callers give them: one or several, in any of the forms that Python has for them.

A text is one path, never a list of its letters, of which `/` would be the whole disk. Every function that takes paths
of a caller goes through `one_or_more`, and every walk over a folder through `refuse_whole_disk`.

A URL is not a path: `Path("s3://bucket/x")` is the relative path `s3:/bucket/x`, and a folder of that name would be
made. So `one_path` and `one_or_more` refuse URLs, but `file://`, which says a path. What may be a URL is asked for with
`objects.places`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard
from urllib.parse import unquote

from featstore.errors import UsageError, param

OnePath = str | os.PathLike[str]
OneOrMorePaths = OnePath | Iterable[OnePath]

SCHEMES = ("s3", "gs", "az", "memory")  # Amazon S3 and all that speak like it, Google, Azure; one process, for tests
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")  # a drive of Windows has one letter and no two slashes
_FLATTENED = re.compile(rf"(?:.*/)?({'|'.join((*SCHEMES, 'file'))}):/(?!/)")
_FILE = "file:/"  # of `Path("file:///folder")` two slashes are lost, and it means the same


def is_path(given: object) -> TypeGuard[OnePath]:
    """Return whether `given` is one path, and so must never be iterated over."""
    return isinstance(given, str | bytes | os.PathLike)


def one_or_more(given: OneOrMorePaths, name: str) -> list[str]:
    """Return the paths in `given`, the argument `name`: one path, or any iterable of them.

    An array or a table of one column counts as a list. Raises UsageError for anything that is not a path.
    """
    return [_local(text, name) for text in one_or_more_texts(given, name)]


def one_path(given: OnePath, name: str) -> str:
    """Return the one path in `given`, the argument `name`; raises UsageError for anything else."""
    return _local(one_text(given, name), name)


def one_or_more_texts(given: OneOrMorePaths, name: str) -> list[str]:
    """Return what `one_or_more` returns, where each may be a URL as well as a path."""
    if is_path(given):
        return [_one(given, name)]
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"{param(name)}: expected a path or a list of paths, found {_kind(given)}")
    return [_one(path, name) for path in _column(given, name)]


def one_text(given: OnePath, name: str) -> str:
    """Return what `one_path` returns, which may be a URL as well as a path."""
    if not is_path(given):
        raise UsageError(f"{param(name)}: expected one path, found {_kind(given)}")
    return _one(given, name)


def is_url(text: str) -> bool:
    """Return whether a text is a URL, of whatever scheme. No path of a user begins like one."""
    return ":" in text and (_URL.match(text) is not None or text.startswith(_FILE))


def refuse_flattened(text: str, name: str) -> None:
    """Raise UsageError for a path that was a URL before it was made a `Path`."""
    if found := _FLATTENED.match(text):
        raise UsageError(
            f"{param(name)}: found a path that was a URL, {found[1]}:/... with one slash: give the URL as a text, not "
            "as a Path"
        )


def path_in_url(text: str, name: str) -> str:
    """Return the path of `file:///folder/file`; raises UsageError for one of another machine."""
    rest = text.partition(":")[2]
    machine, slash, path = rest[2:].partition("/") if rest.startswith("//") else ("", "/", rest[1:])
    if machine not in ("", "localhost") or not slash:
        raise UsageError(f"{param(name)}: expected file:///FOLDER with three slashes: files of this machine only")
    return unquote(f"/{path}")


def refuse_whole_disk(folder: str) -> None:
    """Raise UsageError for the root of the disk, a home folder, or a folder of homes.

    Nobody keeps a data set there, while a slip of the hand leads there, and every file below would be read. A whole
    bucket may be a data set.
    """
    if is_url(folder):
        return
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


def _local(text: str, name: str) -> str:
    """Return the path that a text says; raises UsageError for a URL of anything but a file."""
    if is_url(text) and text.lower().startswith(_FILE):
        return path_in_url(text, name)
    flattened = _FLATTENED.match(text)
    if not is_url(text) and not flattened:
        return text
    scheme = flattened[1] if flattened else text.partition(":")[0].lower()
    raise UsageError(  # nothing else of it is shown: there may be a password in it
        f"{param(name)}: expected a path of this machine, found a URL of {scheme}://; data, images and the cache may "
        "be at a URL, nothing else"
    )


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
