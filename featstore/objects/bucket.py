"""What can be asked of a bucket, and what may come of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from featstore.system.files import FileStat


class ObjectError(OSError):
    """An answer that is not the one that was asked for. `strerror` says why in one line, without secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, reason)


class Uncertain(ObjectError):
    """No answer, or an error of the server: what was asked may have been done or not."""


class AlreadyThere(ObjectError):
    """The server says that an object of this name exists.

    It may be the one that we wrote ourselves, of which the answer was lost; and a server that was busy with two writers
    at once may say so though nothing was written.
    """


class Found(NamedTuple):
    """An object of a listing; `path` is that in the bucket."""

    path: str
    state: FileStat


class Bucket(Protocol):
    """A bucket. Paths are those in it, without a slash at the start. Threads may share it; a forked process may not.

    Each method is one request, or as many as a listing has pages.

    Methods raise FileNotFoundError for what is not there, and ObjectError for everything else.
    """

    def list_all(self, prefix: str) -> Iterator[Found]:
        """Yield all objects whose paths begin with `prefix` and a slash, in the order of their paths."""

    def list_folder(self, prefix: str) -> tuple[list[str], list[Found]]:
        """Return the names of the folders directly below `prefix`, and the objects directly in it, sorted."""

    def head(self, path: str) -> FileStat: ...

    def get(self, path: str) -> tuple[bytes, FileStat]: ...

    def get_range(self, path: str, start: int, length: int) -> tuple[bytes, FileStat]:
        """Return some bytes of an object, or fewer where it ends before them, and the state of the whole object."""

    def put_new(self, path: str, data: bytes) -> None:
        """Write an object if none has this name, in one request; raises AlreadyThere, Uncertain."""

    def put(self, path: str, data: bytes) -> None:
        """Write an object; one of the same name is replaced. Raises Uncertain."""

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; those that are not there are ignored. Raises Uncertain."""
