"""Work on image files in threads, with results in order; objects are read before it is their turn.

An object's answer takes 30 ms and more, in which a network computes many rows. So threads of their own wait for the
answers, and those that decode are as many as there are cores. Files on disk are there at once: the thread that decodes
one reads it. The window bounds the memory by number, AHEAD_BYTES bounds it by size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from featstore.datasets.manifest import Picture
from featstore.images.files import FileBytes, read_file
from featstore.objects.known import THREADS
from featstore.system.paths import is_url

if TYPE_CHECKING:
    from concurrent.futures import Future

AHEAD_BYTES = 2**28  # of objects that were asked for and are not decoded yet

Load = Callable[[], FileBytes]  # returns or raises what `read_file` does
T = TypeVar("T")


def map_files(
    pictures: Iterable[Picture], work: Callable[[Picture, Load], T], threads: int, window: int
) -> Generator[T]:
    """Yield what `work` makes of each picture and the bytes of its file, in the order given.

    `threads` call `work`. Of `window` pictures, the first one is waited for.
    """
    from concurrent.futures import ThreadPoolExecutor

    workers, readers = ThreadPoolExecutor(threads, "featstore-read"), ThreadPoolExecutor(THREADS, "featstore-get")

    def loader(picture: Picture) -> Load:
        if not is_url(picture.path):
            return partial(read_file, picture.path)
        return readers.submit(read_file, picture.path, picture.stat.size).result

    try:
        pending: deque[tuple[Future[T], int]] = deque()
        ahead = 0  # bytes
        for picture in pictures:
            size = picture.stat.size if is_url(picture.path) else 0
            pending.append((workers.submit(work, picture, loader(picture)), size))
            ahead += size
            while len(pending) >= window or ahead > AHEAD_BYTES:
                first, size = pending.popleft()
                ahead -= size
                yield first.result()
        for first, _ in pending:
            yield first.result()
    finally:
        workers.shutdown(wait=False, cancel_futures=True)
        readers.shutdown(wait=False, cancel_futures=True)
