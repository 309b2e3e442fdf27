"""A bucket in memory that counts its requests."""

from __future__ import annotations

import errno
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from featstore.objects.bucket import AlreadyThere, Bucket, Found, ObjectError
from featstore.objects.opening import use_buckets
from featstore.objects.state import object_state
from featstore.system.files import FileStat

PAGE = 1000  # names in one answer to a LIST, as with S3


class MemoryBucket:
    """A bucket in memory, as `Bucket` describes it; of its own accord it never fails.

    requests: how many were made of each kind; each page of a listing is one. clock: returns the server's time, in
    seconds since the epoch. before: called with the kind and the path before each request, for a test that has
    something happen then, or that raises the answer.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.clock: Callable[[], float] = time.time
        self.before: Callable[[str, str], None] = lambda kind, path: None
        self.objects: dict[str, tuple[bytes, FileStat]] = {}
        self.lock = threading.RLock()
        self.ignores_condition = False  # as some servers do: put_new then replaces

    def list_all(self, prefix: str) -> Iterator[Found]:
        after, found = "", [Found("", FileStat(0, 0, 0, 0))] * PAGE
        while len(found) == PAGE:  # each page is of its own moment
            self._ask("list", prefix)
            with self.lock:
                paths = sorted(path for path in self.objects if path.startswith(_under(prefix)) and path > after)
                found = [Found(path, self.objects[path][1]) for path in paths[:PAGE]]
            yield from found
            after = found[-1].path if found else ""

    def list_folder(self, prefix: str) -> tuple[list[str], list[Found]]:
        folders, files = set[str](), list[Found]()
        with self.lock:
            for path in sorted(path for path in self.objects if path.startswith(_under(prefix))):
                first, slash, _ = path.removeprefix(_under(prefix)).partition("/")
                if slash:
                    folders.add(first)
                else:
                    files.append(Found(path, self.objects[path][1]))
        for _ in range(1 + (len(folders) + len(files)) // PAGE):
            self._ask("list", prefix)
        return sorted(folders), files

    def head(self, path: str) -> FileStat:
        self._ask("head", path)
        return self._at(path)[1]

    def get(self, path: str) -> tuple[bytes, FileStat]:
        self._ask("get", path)
        return self._at(path)

    def get_range(self, path: str, start: int, length: int) -> tuple[bytes, FileStat]:
        self._ask("get_range", path)
        data, state = self._at(path)
        if length and start >= len(data):
            raise ObjectError("the range begins behind the end")
        return data[start : start + length], state

    def put_new(self, path: str, data: bytes) -> None:
        self._ask("put_new", path)
        with self.lock:
            if path in self.objects and not self.ignores_condition:
                raise AlreadyThere("it exists already")
            self.store(path, data)

    def put(self, path: str, data: bytes) -> None:
        self._ask("put", path)
        self.store(path, data)

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._ask("delete", path)
            with self.lock:
                self.objects.pop(path, None)

    def store(self, path: str, data: bytes) -> None:
        """Have an object there, without a request."""
        tag = hashlib.md5(data, usedforsecurity=False).hexdigest()  # as S3 does: the same bytes have the same tag
        with self.lock:
            changed = datetime.fromtimestamp(int(self.clock()), UTC)
            self.objects[path] = bytes(data), object_state(len(data), changed, tag)

    def forget_requests(self) -> None:
        self.requests.clear()

    def _ask(self, kind: str, path: str) -> None:
        with self.lock:
            self.requests[kind] += 1
        self.before(kind, path)

    def _at(self, path: str) -> tuple[bytes, FileStat]:
        with self.lock:
            if path not in self.objects:
                raise FileNotFoundError(errno.ENOENT, "no such object")
            return self.objects[path]


def _under(prefix: str) -> str:
    return f"{prefix}/" if prefix else ""


@contextmanager
def bucket_in_place(bucket: Bucket) -> Iterator[Bucket]:
    """Have every URL of object storage name `bucket` in a `with` block."""
    before = use_buckets(lambda url: bucket)
    try:
        yield bucket
    finally:
        use_buckets(before)
