"""A model of object storage with faults: what several processes ask of one bucket, and how it goes wrong.

`Network` is what lies between the processes and the bucket, `FaultyBucket` is the bucket as one process sees it, and
`Turns` lets several processes work at once, from request to request, in an order that a seed determines.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from featstore.errors import StoreError
from featstore.objects.bucket import AlreadyThere, Found, ObjectError, Uncertain
from featstore.system.files import FileStat
from helpers import buckets
from helpers.buckets import MemoryBucket
from helpers.disks import Killed

_WRITES = ("put_new", "put", "delete")
_GETS = ("get", "get_range")
# What a fault may happen to, by its name; None: to everything.
FAULTS: dict[str, tuple[str, ...] | None] = {
    "killed before": None,  # the process ends; nothing was asked
    "killed after": _WRITES,  # it was done, and the process ends
    "lost": None,  # it was done, and the answer is lost
    "refused": None,  # an error of the server; nothing was done
    "refused from then on": None,
    "late": _WRITES,  # no answer; it is done two requests later
    "very late": _WRITES,  # no answer; it is done when all others have finished
    "repeated": _WRITES,  # done twice, and the second answer is given
    "repeated late": ("put_new", "put"),  # done and answered, and done once more when all others have finished
    "conflict": ("put_new",),  # "it exists already", though nothing was written
    "short": _GETS,  # half of the bytes
    "flipped": _GETS,  # a bit is another one
    "half a list": ("list",),  # half of the page, then an error
}
LATE = {"late": 2, "very late": 10**9, "repeated late": 10**9}
T = TypeVar("T")


class Network:
    """What lies between some processes and their bucket: requests pass one by one, and some are late."""

    def __init__(self, server: MemoryBucket) -> None:
        self.server = server
        self._passed = 0
        self._late: list[tuple[int, Callable[[], object]]] = []

    def pass_one(self) -> None:
        """Let another request pass; those whose time has come arrive before it."""
        self._passed += 1
        self._arrive(self._passed)

    def delay(self, request: Callable[[], object], by: int) -> None:
        self._late.append((self._passed + by, request))

    def settle(self) -> None:
        """Let all requests that are under way arrive."""
        self._arrive(10**12)

    def _arrive(self, until: int) -> None:
        due = [request for when, request in self._late if when <= until]
        self._late = [(when, request) for when, request in self._late if when > until]
        for request in due:
            try:
                request()
            except (OSError, KeyError):
                pass  # nobody waits for the answer


class FaultyBucket:
    """The bucket as one process sees it, with a fault at its n-th request to which that may happen, counted from 1.

    turn: called before each request. met: whether it came to the fault. done: what was asked, in order.
    """

    def __init__(
        self, network: Network, nth: int = 0, fault: str = "", turn: Callable[[], None] = lambda: None
    ) -> None:
        self.network = network
        self.met = self.dead = self.buried = False
        self.done: list[tuple[str, str]] = []
        self.nth, self.fault, self._turn = nth, fault, turn
        self._count = 0
        self._one = threading.Lock()

    def list_all(self, prefix: str) -> Iterator[Found]:
        pages = self.network.server.list_all(prefix)
        size = buckets.PAGE
        while page := self._ask("list", prefix, lambda: list(islice(pages, size))):
            yield from page[0] if isinstance(page, tuple) else page
            if isinstance(page, tuple):
                raise ObjectError("the list ends here")
            if len(page) < size:
                return

    def list_folder(self, prefix: str) -> tuple[list[str], list[Found]]:
        """As S3 does it, each page of its own moment."""
        folders, objects, inside = set[str](), list[Found](), f"{prefix}/" if prefix else ""
        for found in self.list_all(prefix):
            name, slash, _ = found.path.removeprefix(inside).partition("/")
            if slash:
                folders.add(name)
            else:
                objects.append(found)
        return sorted(folders), objects

    def head(self, path: str) -> FileStat:
        return self._ask("head", path, lambda: self.network.server.head(path))

    def get(self, path: str) -> tuple[bytes, FileStat]:
        return self._ask("get", path, lambda: self.network.server.get(path))

    def get_range(self, path: str, start: int, length: int) -> tuple[bytes, FileStat]:
        return self._ask("get_range", path, lambda: self.network.server.get_range(path, start, length))

    def put_new(self, path: str, data: bytes) -> None:
        self._ask("put_new", path, lambda: self.network.server.put_new(path, data))

    def put(self, path: str, data: bytes) -> None:
        self._ask("put", path, lambda: self.network.server.put(path, data))

    def delete(self, paths: Sequence[str]) -> None:
        paths = list(paths)
        self._ask("delete", " ".join(paths), lambda: self.network.server.delete(paths))

    def _ask(self, operation: str, about: str, do: Callable[[], T]) -> T:
        if self.buried:
            raise ObjectError("a dead process asks nothing")
        self._turn()
        with self._one:
            if self.dead:
                raise Killed
            self.network.pass_one()
            self.done.append((operation, about))
            may_fail = FAULTS.get(self.fault) or (operation,)
            self._count += operation in may_fail
            later = self.fault.endswith("from then on") and self._count > self.nth
            if operation not in may_fail or not (self._count == self.nth or later):
                return do()
            self.met = True
            return self._fail(operation, do)

    def _fail(self, operation: str, do: Callable[[], Any]) -> Any:
        unanswered = (Uncertain if operation in _WRITES else ObjectError)("no answer")
        match self.fault:
            case "killed before" | "killed after":
                self.dead = True
                if self.fault == "killed after":
                    _in_silence(do)
                raise Killed
            case "lost":
                _in_silence(do)
            case "late" | "very late":
                self.network.delay(do, LATE[self.fault])
            case "repeated":
                _in_silence(do)
                return do()
            case "repeated late":
                self.network.delay(do, LATE[self.fault])
                return do()
            case "conflict":
                raise AlreadyThere("it exists already")
            case "half a list":
                page = do()
                return (page[: len(page) // 2],)
            case "short" | "flipped":
                return self._spoil(do())
        raise unanswered

    def _spoil(self, answer: Any) -> Any:
        data = bytearray(answer[0] if isinstance(answer, tuple) else answer)
        if self.fault == "short":
            del data[len(data) // 2 :]
        elif data:
            data[len(data) // 2] ^= 1
        return (bytes(data), answer[1]) if isinstance(answer, tuple) else bytes(data)


def _in_silence(do: Callable[[], object]) -> None:
    """Do what somebody asked who will not hear of it."""
    try:
        do()
    except OSError:
        pass


def live(bucket: FaultyBucket, work: Callable[[], object]) -> StoreError | Killed | None:
    """Do `work` as the process that has this bucket; how it ended. Any other error is a fault of featstore."""
    try:
        work()
    except (StoreError, Killed) as error:
        bucket.buried = isinstance(error, Killed)  # no `__del__` of what goes now has a say
        error.__traceback__ = error.__cause__ = error.__context__ = None  # these hold objects that hold locks
        return error
    return None


class Turns:
    """Threads that go on one at a time. Each waits before its requests, and a seed determines who goes on then."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._news = queue.SimpleQueue[tuple[str, int]]()  # who waits, or has ended
        self._go: dict[int, threading.Semaphore] = {}
        self._mine = threading.local()

    def wait(self) -> None:
        """Wait for the turn of the calling thread; threads that take no part in it go on."""
        if hasattr(self._mine, "number"):
            self._news.put(("waits", self._mine.number))
            self._go[self._mine.number].acquire()

    def run(self, works: Sequence[Callable[[], object]], seconds: float = 20) -> None:
        """Do all of `works` at once; none may raise. Fails if they come to a stop."""
        self._go = {number: threading.Semaphore(0) for number in range(len(works))}
        waiting, errors = list[int](), list[BaseException]()

        def thread(number: int) -> None:
            self._mine.number = number
            try:
                self.wait()
                works[number]()
            except BaseException as error:  # noqa: BLE001  the caller gets it
                errors.append(error)
            self._news.put(("ends", number))

        for number in self._go:
            threading.Thread(target=thread, args=(number,), daemon=True).start()
        running = len(works)
        waiting += sorted(self._news.get(timeout=seconds)[1] for _ in works)
        while waiting:
            number = waiting.pop(self._draw.randrange(len(waiting)))
            self._go[number].release()
            what, number = self._news.get(timeout=seconds)
            if what == "waits":
                waiting.append(number)
            else:
                running -= 1
        assert not running
        if errors:
            raise errors[0]
