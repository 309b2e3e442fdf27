"""Places: where an image, a table or a data set is, as a text that is a path or a URL, and what both can be asked.

A URL has one form here, that of `Url`, so two texts of one object are equal. Paths stay as the user wrote them. The
functions of `os.path` know no URLs: `abspath` takes one for a folder, and `dirname` cuts into the name of a bucket.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from featstore.errors import DataError, StoreError
from featstore.objects.opening import open_bucket
from featstore.objects.urls import absolute as absolute
from featstore.objects.urls import parse_location, parse_url
from featstore.system.member_paths import find_member, is_pattern
from featstore.system.paths import OneOrMorePaths, OnePath, is_url, one_or_more_texts, one_text


def one_place(given: OnePath, name: str) -> str:
    """Return the one place in `given`, the argument `name`; raises UsageError for anything else."""
    return settle_place(one_text(given, name), name)


def places(given: OneOrMorePaths, name: str) -> list[str]:
    """Return the places in `given`, the argument `name`: one, or any iterable of them, as `one_or_more` has paths."""
    return [settle_place(text, name) for text in one_or_more_texts(given, name)]


def settle_place(text: str, name: str) -> str:
    """Return a place in its one form; that of `file://` is a path. Raises UsageError as `parse_location` does."""
    location = parse_location(text, name)
    return str(location) if is_url(text) else text


def join(place: str, *names: str) -> str:
    """Return the place of what is below a folder; a name that is a place of its own is returned as it is.

    A URL has no `.` and `..` in it: raises DataError where they lead out of its bucket.
    """
    for name in names:
        if is_url(name) or not is_url(place):
            place = name if is_url(name) else os.path.join(place, name)
        elif os.path.isabs(name):
            place = name
        else:
            place = _normal_url(f"{place}/{name}")
    return place


def folder_of(place: str) -> str:
    """Return the folder that a file is in."""
    if not is_url(place):
        return os.path.dirname(place)
    return place.rpartition("/")[0] if "/" in place.partition("://")[2] else place


def normal(place: str) -> str:
    """Return a place without `.` and `..` in it."""
    return _normal_url(place) if is_url(place) else os.path.normpath(place)


def tops_of(source: str) -> tuple[str, ...]:
    """Return the folder of a data set: itself, or that of a table or an image. A URL may mean one or the other."""
    if is_url(source):
        return (source, folder_of(source)) if os.path.splitext(source)[1] else (source,)
    return (source if os.path.isdir(source) else os.path.dirname(source),)


def below(path: str, *tops: str) -> str:
    """Return the path of a file relative to the first of the folders that it is below; the whole path if there is none.

    Its parts have `/` between them.
    """
    for top in tops:
        if is_url(path) or is_url(top):
            if path.startswith(f"{top}/"):
                return path[len(top) + 1 :]
        elif not (inside := os.path.relpath(path, top)).startswith(os.pardir):
            return inside.replace(os.sep, "/")
    return path if is_url(path) else path.replace(os.sep, "/")


def path_below(path: str, source: str) -> str:
    """Return the path of a file relative to the data set `source`; a table may name files elsewhere."""
    return below(path, *tops_of(source))


def kind_of(place: str) -> Literal["folder", "file"] | None:
    """Return what is at a place; None if nothing is. Raises StoreError where object storage does not say.

    Object storage has no folders: one is there as long as an object is below it. A file in a tar, and tars by a
    pattern, are taken to be there.
    """
    if find_member(place) or is_pattern(place):
        return "file"
    if not is_url(place):
        return "folder" if os.path.isdir(place) else "file" if os.path.exists(place) else None
    url = parse_url(place, "data")
    with said_of(place):
        if not url.path or next(iter(open_bucket(url).list_all(url.path)), None) is not None:
            return "folder"
        try:
            open_bucket(url).head(url.path)
        except FileNotFoundError:
            return None
        return "file"


def read_bytes(place: str) -> bytes:
    """Return the bytes of a file; raises OSError."""
    if not is_url(place):
        return Path(place).read_bytes()
    url = parse_url(place, "data")
    return open_bucket(url).get(url.path)[0]


@contextmanager
def said_of(place: str) -> Iterator[None]:
    """Turn an OSError of object storage into a StoreError about a place."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{place}: cannot be read: {error.strerror}") from error


def _normal_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    inside = posixpath.normpath(path.lstrip("/")) if path else "."
    if inside.split("/")[0] == "..":
        raise DataError(f"{url}: leads out of the bucket")
    return f"{scheme}://{bucket}" + ("" if inside == "." else f"/{inside}")
