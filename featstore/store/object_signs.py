"""Signs of life: objects below `claims/` of those who work on a key.

A process writes its sign first and looks for those of others then. So of two that come at once at least one sees the
other. A sign is written again every 20 seconds, and is void when it is older than a minute by the server's clock:
when the own sign was written more than a minute later. So the clocks of the machines need not agree.

Names of signs are never used twice, so a request that comes late, a DELETE for instance, never meets another's sign.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from weakref import WeakMethod

from featstore.objects.bucket import ObjectError
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url
from featstore.system.files import FileStat

WRITER, ROWS, ALONE = "writer", "rows", "alone"  # who adds rows; what is computed; who removes shards
BEAT_SECONDS = 20.0
DEAD_SECONDS = 60.0
_MARGIN_SECONDS = 15.0  # before a sign is void, its process no longer relies on it
_TICK_SECONDS = 0.2

_process = secrets.token_hex(8)  # signs of one process sort together
_numbers = itertools.count()
os.register_at_fork(after_in_child=lambda: globals().update(_process=secrets.token_hex(8)))


class OtherSign(NamedTuple):
    """The sign of another. name: below `claims/`."""

    name: str
    kind: str
    state: FileStat


class Sign:
    """A sign of this process. folder: the URL of `claims`."""

    def __init__(self, folder: Url, kind: str) -> None:
        self.url = folder / f"{kind}-{_process}-{next(_numbers)}"
        self._folder = folder
        self._shown_at = -DEAD_SECONDS  # when the last request began that was answered

    @property
    def age(self) -> float:
        """Seconds since it was written: at least as many as by the server's clock."""
        return monotonic() - self._shown_at

    @property
    def can_be_relied_on(self) -> bool:
        """Whether all others take it for living, also if the next request takes a while."""
        return self.age < DEAD_SECONDS - _MARGIN_SECONDS

    def show(self, content: bytes = b"") -> None:
        """Write the sign; raises ObjectError."""
        began = monotonic()
        open_bucket(self._folder).put(self.url.path, content)
        self._shown_at = began

    def renew(self) -> None:
        """Write the sign, if that is possible now."""
        with suppress(ObjectError):
            self.show()

    def look(self) -> tuple[list[OtherSign], list[OtherSign]]:
        """Return the signs of others, the living and the void ones, sorted; raises ObjectError."""
        _, found = open_bucket(self._folder).list_folder(self._folder.path)
        now = max((item.state.mtime_ns for item in found if item.path == self.url.path), default=0)  # or later
        living, void = list[OtherSign](), list[OtherSign]()
        for path, state in found:
            if path != self.url.path:
                name = path.rpartition("/")[2]
                is_void = now - state.mtime_ns > DEAD_SECONDS * 1e9
                (void if is_void else living).append(OtherSign(name, name.partition("-")[0], state))
        return living, void

    def remove(self, others: Iterable[OtherSign]) -> None:
        """Remove signs that are void, to tidy up; raises ObjectError."""
        open_bucket(self._folder).delete([(self._folder / other.name).path for other in others])

    def withdraw(self) -> None:
        """Remove the sign. One that cannot be removed is void in a minute."""
        self._shown_at = -DEAD_SECONDS
        with suppress(ObjectError):
            open_bucket(self._folder).delete([self.url.path])


def call_every(seconds: float, method: Callable[[], None], at_end: Callable[[], None]) -> Callable[[], None]:
    """Call a method every so many seconds on a thread; return the function that ends this, and waits for the end.

    At the end, or when the object of the method is gone, `at_end` is called. It also ends with the main thread. The
    thread is not a daemon: Python ends those in the middle of a request, which takes the process with it.
    """
    weak, stopped = WeakMethod(method), threading.Event()

    def run() -> None:
        due = monotonic() + seconds
        while threading.main_thread().is_alive() and not stopped.wait(min(seconds, _TICK_SECONDS)):
            if monotonic() >= due:
                call = weak()
                if call is None:
                    break
                call()
                del call
                due = monotonic() + seconds
        if threading.main_thread().is_alive() or stopped.is_set():
            at_end()

    def stop() -> None:
        stopped.set()
        with suppress(RuntimeError):  # it was never started
            thread.join()

    thread = threading.Thread(target=run, name="featstore-signs")
    with suppress(RuntimeError):  # no more threads: the sign is void in a minute
        thread.start()
    return stop
