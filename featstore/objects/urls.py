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

from featstore.errors import UsageError, param
from featstore.system.paths import SCHEMES, path_in_url, refuse_flattened
from featstore.system.paths import is_url as is_url

_SHOWN = "s3://, gs://, az:// or file://"
_OF_THE_WEB = ("http", "https", "ftp")
_SIGNATURE = re.compile(r"[?&](sig|signature|x-\w+-signature)=", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, order=True)
class Url:
    """The URL of an object, or of what would be a folder on a disk.

    It has the names of `Path` for what both have, and is not a path to the operating system: `open` refuses it.

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


def parse_location(given: str | os.PathLike[str] | Url, name: str) -> Location:
    """Return the URL or the path that a user gives as the argument `name`. A URL of `file://` is a path.

    Raises UsageError for a scheme that is not known, for a URL with a password, and for one that was a `Path`.
    """
    if isinstance(given, Url):
        return given
    text = os.fspath(given)
    if is_url(text):
        return _parse_url(text, name)
    refuse_flattened(text, name)
    return Path(text)


def parse_url(text: str, name: str) -> Url:
    """Return the URL of an object; raises UsageError as `parse_location` does, and for `file://`."""
    location = parse_location(text, name)
    if isinstance(location, Path):
        raise UsageError(f"{param(name)}: expected the URL of an object, found {text}")
    return location


def is_nameable(path: str) -> bool:
    """Return whether an object can be named here: servers allow more, which no folder could hold."""
    return not path or not (_CONTROL.search(path) or any(part in ("", ".", "..") for part in path.split("/")))


def absolute(path: str) -> str:
    """Return a path as seen from anywhere; a URL is so already."""
    return path if is_url(path) else os.path.abspath(path)


def _parse_url(text: str, name: str) -> Location:
    scheme, _, rest = text.partition(":")
    scheme = scheme.lower()
    bucket, _, path = rest.removeprefix("//").partition("/")
    if "@" in bucket:  # before anything of it is shown
        raise UsageError(
            f"{param(name)}: found a URL of {scheme}:// with a user or a password in it: leave them out, the "
            "environment has them, as the provider's own tools take them"
        )
    if _SIGNATURE.search(text):
        raise UsageError(
            f"{param(name)}: found a URL of {scheme}:// with a signature in it: leave out all from the `?` on, the "
            "environment has the credentials, as the provider's own tools take them"
        )
    if scheme == "file":
        return Path(path_in_url(text, name))
    if scheme not in SCHEMES:
        remedy = "; download the files and give their folder" if scheme in _OF_THE_WEB else ""
        raise UsageError(f"{param(name)}: {scheme}:// is not known: expected a path or a URL of {_SHOWN}{remedy}")
    parts = path.rstrip("/").split("/") if path.strip("/") else []
    if not bucket and scheme != "memory":
        raise UsageError(f"{param(name)}: {scheme}:// names no bucket: expected {scheme}://BUCKET/PATH")
    if not is_nameable("/".join(parts)) or _CONTROL.search(text) or "?" in bucket or "#" in bucket:
        raise UsageError(
            f"{param(name)}: {scheme}://{bucket}/... has an empty part, `.`, `..` or a control character: no object "
            "can be named so here"
        )
    return Url(scheme, bucket, "/".join(parts))
