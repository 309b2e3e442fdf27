"""A lock for what threads share, usable in forked processes."""

from __future__ import annotations

import os
import threading
from weakref import WeakSet


class ForkLock:
    """A re-entrant lock that is free in a forked process, whichever thread of the parent held it.

    That thread does not exist in the child, so it could never release the lock there. The data that the lock guards
    must therefore be consistent at every step: replace whole values, or change one dictionary entry at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        self._lock = threading.RLock()


_locks: WeakSet[ForkLock] = WeakSet()


def _renew_all() -> None:
    for lock in _locks:
        lock.renew()


os.register_at_fork(after_in_child=_renew_all)
