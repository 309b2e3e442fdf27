"""URLs of objects, and what a text that a user gives for a place means: a URL or a path, never one taken for the other.

`Path("s3://bucket/x")` is the relative path `s3:/bucket/x`, so whatever may be a URL is parsed here before any `Path`
is made of it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from featstore.errors import UsageError, param

SCHEMES = ("s3", "gs", "az", "memory")  # Amazon S3 and all that speak like it, Google, Azure; one process, for tests
_SHOWN = "s3://, gs://, az:// or file://"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")  # a drive of Windows has one letter and no two slashes
_FLATTENED = re.compile(rf"(?:.*/)?({'|'.join((*SCHEMES, 'file'))}):/(?!/)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, order=True)
class Url:
    """The URL of an object, or of what would be a folder on a disk.

    It has the names of `Path` for what both have, and is no path to the operating system: `open` refuses it.

    scheme, bucket: as in `s3://bucket/...`. path: the rest, without slashes at its ends; it is not percent-encoded.
    """

    scheme: str
    bucket: str
    path: str = ""

    @classmethod
    def from_text(cls, text: str) -> Url:
        """Return the URL of a text that `str` made of one; raises TypeError for any other text."""
        try:
            return parse_url(text, "url")
        except UsageError as error:
            raise TypeError(str(error)) from error

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.path}" if self.path else "")

    def __truediv__(self, name: str) -> Url:
        return Url(self.scheme, self.bucket, f"{self.path}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        return Url(self.scheme, self.bucket, self.path.rpartition("/")[0])

    @property
    def root(self) -> Url:
        """The bucket."""
        return Url(self.scheme, self.bucket)

    def absolute(self) -> Url:
        """Return the same URL: it says the whole way already."""
        return self


Location: TypeAlias = Path | Url  # where a cache or a file is


def is_url(text: str) -> bool:
    """Return whether a text is a URL, of whatever scheme. No path of a user begins like one."""
    return ":" in text and _URL.match(text) is not None


def parse_location(given: str | os.PathLike[str] | Url, name: str) -> Location:
    """Return the URL or the path that a user gives as the argument `name`. A URL of `file://` is a path.

    Raises UsageError for a scheme that is not known, for a URL with a password, and for one that was a `Path`.
    """
    if isinstance(given, Url):
        return given
    text = os.fspath(given)
    if is_url(text):
        return _parse_url(text, name)
    if found := _FLATTENED.match(text):
        raise UsageError(
            f"{param(name)}: found a path that was a URL, {found[1]}:/... with one slash: give the URL as a text, not "
            "as a Path"
        )
    return Path(text)


def parse_url(text: str, name: str) -> Url:
    """Return the URL of an object; raises UsageError as `parse_location` does, and for `file://`."""
    location = parse_location(text, name)
    if isinstance(location, Path):
        raise UsageError(f"{param(name)}: expected the URL of an object, found {text}")
    return location


def absolute(path: str) -> str:
    """Return a path as seen from anywhere; a URL is so already."""
    return path if is_url(path) else os.path.abspath(path)


def _parse_url(text: str, name: str) -> Location:
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    bucket, _, path = rest.partition("/")
    if "@" in bucket:  # before anything of it is shown
        raise UsageError(
            f"{param(name)}: found a URL of {scheme}:// with a user or a password in it: leave them out, the "
            "environment has them, as the provider's own tools take them"
        )
    if scheme == "file":
        return _local_path(text, name)
    if scheme not in SCHEMES:
        raise UsageError(f"{param(name)}: {scheme}:// is not known: expected a path or a URL of {_SHOWN}")
    parts = path.rstrip("/").split("/") if path.strip("/") else []
    if not bucket and scheme != "memory":
        raise UsageError(f"{param(name)}: {scheme}:// names no bucket: expected {scheme}://BUCKET/PATH")
    if any(part in ("", ".", "..") for part in parts) or _CONTROL.search(text) or "?" in bucket or "#" in bucket:
        raise UsageError(
            f"{param(name)}: {scheme}://{bucket}/... has an empty part, `.`, `..` or a control character: no object "
            "can be named so here"
        )
    return Url(scheme, bucket, "/".join(parts))


def _local_path(text: str, name: str) -> Path:
    """Return the path of `file:///folder/file`."""
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise UsageError(f"{param(name)}: expected file:///FOLDER with three slashes: files of this machine only")
    return Path(unquote(text.partition("://")[2].removeprefix(parts.netloc)))
