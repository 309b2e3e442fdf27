"""Opening buckets. A process opens each once, and its threads share it.

Tests put another bucket in the place of a real one: one in memory, or one whose answers are lost, late or torn.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from featstore.objects.bucket import Bucket, ObjectError
from featstore.objects.obstore_bucket import ObstoreBucket
from featstore.objects.urls import Url

Opener = Callable[[Url], Bucket]  # takes the URL of a bucket

_opener: Opener = ObstoreBucket
_opened: dict[Url, Bucket] = {}
_lock = threading.Lock()
_owner = 0  # the process that has opened a bucket


def open_bucket(url: Url) -> Bucket:
    """Return the bucket of a URL; nothing is asked of it yet.

    Raises UsageError without the package that speaks to it, and ObjectError where the environment does not say enough,
    or in a forked process: the threads of the package are not in it, and it would wait for ever.
    """
    global _owner
    if _opened and _owner != os.getpid():  # before the lock, which another thread may have held at the fork
        raise ObjectError("object storage was used before this process was forked: start it with spawn instead")
    with _lock:
        _owner = os.getpid()
        if url.root not in _opened:
            _opened[url.root] = _opener(url.root)
        return _opened[url.root]


def use_buckets(opener: Opener) -> Opener:
    """Open buckets with `opener` from now on; return what has opened them before."""
    global _opener
    with _lock:
        before, _opener = _opener, opener
        _opened.clear()
        return before
