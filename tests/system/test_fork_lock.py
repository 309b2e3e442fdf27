"""The lock for threads that is free in a forked process."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

from featstore.system import fork_lock
from featstore.system.fork_lock import ForkLock
from helpers.children import in_child


def test_threads_take_turns() -> None:
    """A thread that holds the lock may take it again."""
    lock, inside, most = ForkLock(), [0], [0]

    def work(number: int) -> None:
        for _ in range(200):
            with lock, lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert most == [1]


def fork_while_it_is_held() -> None:
    lock, held, go_on = ForkLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, about forks with threads
    pid = os.fork()
    if not pid:
        with lock:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    go_on.set()
    thread.join(60)
    with lock:
        assert status == 0


def test_it_is_free_in_a_forked_process() -> None:
    """The thread that held it does not exist there; in the parent it still holds it."""
    in_child(fork_while_it_is_held, seconds=60)


def test_locks_are_not_kept_alive() -> None:
    """Each store has one."""
    gc.collect()
    before = len(fork_lock._locks)
    for _ in range(10):
        ForkLock()
    gc.collect()
    assert len(fork_lock._locks) <= before
