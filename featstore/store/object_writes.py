"""Writing and removing objects so that it is certain, whatever became of the answers.

What was asked may have been done though the answer was lost. A server may say that an object exists already: it may be
the one that we wrote ourselves, or, where two writers met, there may be none at all. So an answer in doubt is never
believed: the object is read, and compared with what it should be.

What comes late does no harm to rows. A late PUT of a shard writes the bytes that its name says. A late `put_new` of
`spec.json` finds one or begins an empty key. A late DELETE is the only one that could take something away; who removes
keeps others out until it must have arrived (see `object_locks`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from featstore.errors import StoreError
from featstore.objects.bucket import AlreadyThere, Bucket, ObjectError, Uncertain
from featstore.objects.urls import Url
from featstore.system.files import FileStat

_T = TypeVar("_T")
_Doubts = list[OSError]  # the answers of which it is not known what they mean, the last one at the end

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds between attempts; in each, the client has tried for a minute already


def write_named(bucket: Bucket, url: Url, data: bytes) -> FileStat:
    """Write an object whose name is the digest of its bytes; return its state. Raises StoreError.

    One that is there with other bytes is damaged, and is replaced.
    """
    put = bucket.put_new

    def attempt(doubts: _Doubts) -> FileStat | None:
        nonlocal put
        if _ask(lambda: put(url.path, data), url, "written", doubts):
            state = _head(bucket, url, doubts)
            return state if state is not None and state.size == len(data) else None
        found = _get(bucket, url, doubts)
        put = bucket.put_new if found is None else bucket.put
        return found[1] if found is not None and found[0] == data else None

    return _settle(attempt, url, "written")


def write_first(bucket: Bucket, url: Url, data: bytes) -> bool:
    """Write an object if there is none; return False if there is another one. Raises StoreError."""

    def attempt(doubts: _Doubts) -> bool | None:
        if _ask(lambda: bucket.put_new(url.path, data), url, "written", doubts):
            return True
        found = _get(bucket, url, doubts)
        return None if found is None else found[0] == data  # equal: it is our own, or as good as that

    return _settle(attempt, url, "written")


def write_over(bucket: Bucket, url: Url, data: bytes) -> FileStat:
    """Write an object in the place of any other of this name; return its state. Raises StoreError."""

    def attempt(doubts: _Doubts) -> FileStat | None:
        if _ask(lambda: bucket.put(url.path, data), url, "written", doubts):
            return _head(bucket, url, doubts)
        found = _get(bucket, url, doubts)
        return found[1] if found is not None and found[0] == data else None

    return _settle(attempt, url, "written")


def remove_objects(bucket: Bucket, folder: Url, names: Sequence[str]) -> bool:
    """Remove objects below `folder`; return whether the answer came at once. Raises StoreError.

    If it did not, a request may still be under way, and would remove an object that is written now.
    """
    paths = [(folder / name).path for name in names]

    def attempt(doubts: _Doubts) -> bool | None:
        return not doubts if _ask(lambda: bucket.delete(paths), folder, "removed", doubts) else None

    return _settle(attempt, folder, "removed")


def failed(url: Url, what: str, error: OSError) -> StoreError:
    """Return the error for a user: what was not done, why, and what to do."""
    return StoreError(
        f"{url}: cannot be {what}: {error.strerror}; all that is stored is kept: run the same command again"
    )


def _settle(attempt: Callable[[_Doubts], _T | None], url: Url, what: str) -> _T:
    """Return what an attempt returns, the first that is not None; raise StoreError after the last one."""
    doubts: _Doubts = []
    for pause in (0.0, *PAUSES):
        time.sleep(pause * random.uniform(0.5, 1.5))  # of two that got into each other's way, one comes first
        result = attempt(doubts)
        if result is not None:
            return result
    raise failed(url, what, doubts[-1] if doubts else OSError(None, "others remove it meanwhile"))


def _ask(request: Callable[[], None], url: Url, what: str, doubts: _Doubts) -> bool:
    """Make a request; return whether it was done for sure. Raises StoreError if it was refused."""
    try:
        request()
        return True
    except (AlreadyThere, Uncertain) as doubt:
        doubts.append(doubt)
        return False
    except ObjectError as error:
        raise failed(url, what, error) from error


def _head(bucket: Bucket, url: Url, doubts: _Doubts) -> FileStat | None:
    """Return the state of an object; None if there is none, or if it cannot be asked for now."""
    try:
        return bucket.head(url.path)
    except FileNotFoundError:
        return None
    except ObjectError as error:
        doubts.append(error)
        return None


def _get(bucket: Bucket, url: Url, doubts: _Doubts) -> tuple[bytes, FileStat] | None:
    """Return an object as it is now; None if there is none, or if it cannot be read now."""
    try:
        return bucket.get(url.path)
    except FileNotFoundError:
        return None
    except ObjectError as error:
        doubts.append(error)
        return None
