"""Objects are read before it is their turn: an answer takes 30 ms and more, in which a network computes many rows.

Threads of their own wait for the answers; those that decode are as many as there are cores. Files on disk are read by
the thread that decodes them, as they are there at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Picture
from featstore.images.files import FileBytes, read_file
from featstore.objects.known import THREADS
from featstore.system.paths import is_url

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

AHEAD_BYTES = 2**28  # of objects that were read or asked for and are not decoded yet


class ReadAhead:
    """Reads files, and objects ahead. The caller keeps the sum of `bytes_ahead` below AHEAD_BYTES."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def start(self, picture: Picture) -> Callable[[], FileBytes]:
        """Return a function that returns or raises what `read_file` does; an object is asked for at once."""
        if not is_url(picture.path):
            return partial(read_file, picture.path)
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(THREADS, "featstore-get")
        return self._pool.submit(read_file, picture.path, picture.stat.size).result

    def stop(self) -> None:
        """Ask for no more objects."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def bytes_ahead(picture: Picture) -> int:
    """Return how many bytes wait to be decoded while a picture is read ahead."""
    return picture.stat.size if is_url(picture.path) else 0
