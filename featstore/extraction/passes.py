"""A pass of a network over images: they wait for a full batch, and are computed while others are read and stored.

A network is loaded with the first batch. Its calls run on threads, which spend their time outside of Python. What they
return is taken in the order in which it was asked for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.extraction.writer import RowQueue, Task
from featstore.store.rowid import RowId

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from featstore.engines.network import Network, Outputs

FIRST_BATCH = 32  # images with which the network is loaded, those of the canary included
IMAGES_AHEAD = 32  # that wait for a free thread, so that none waits for an image


@dataclass(frozen=True)
class Pass:
    """The rows that one network makes of the same pixels, an output for each of `tasks`.

    load: returns the network; it is given the number of images to compute. reading: how the pixels are made, for the
    reader of the job. canary: returns the pixels of the canary images by name, which the first batch begins with.
    """

    tasks: Sequence[Task]
    load: Callable[[int], Network]
    reading: Hashable = None
    canary: Callable[[], Mapping[str, NDArray[Any]]] = dict

    @property
    def views(self) -> tuple[int, ...]:
        """The numbers of all views that a task needs."""
        return tuple(sorted({view for task in self.tasks for view in task.views}))


class _Item(NamedTuple):
    row: RowId
    pixels: NDArray[Any]
    wanted: tuple[int, ...]  # numbers of the queues that lack the row


class PassQueue:
    """The images of a pass that are not computed yet, and the queues of its rows, one for each task.

    seconds: time that the network has run, of all threads together. expected: number of images to come.
    """

    def __init__(self, the_pass: Pass, queues: Sequence[RowQueue]) -> None:
        self.the_pass = the_pass
        self.queues = queues
        self.seconds = 0.0
        self.expected = 0
        self._network: Network | None = None
        self._canary: Mapping[str, NDArray[Any]] = {}
        self._images: list[_Item] = []
        self._running: deque[tuple[list[_Item], Future[tuple[Outputs, float]]]] = deque()
        self._threads: ThreadPoolExecutor | None = None
        self._batch = 0  # until there is an image

    def made_with(self) -> dict[str, str]:
        """Return the engine of the rows, for their record; nothing if the network has not been needed."""
        return {"engine": self._network.engine} if self._network else {}

    def add(self, row: RowId, pixels: NDArray[Any], wanted: Sequence[int]) -> None:
        """Add an image, of which the queues with the numbers `wanted` lack the row; they must have claimed it."""
        if not self._batch:
            self._canary = self.the_pass.canary()
            self._batch = FIRST_BATCH - len(self._canary)
        for number in wanted:
            self.queues[number].reserve(row)
        self._images.append(_Item(row, pixels, tuple(wanted)))
        if len(self._images) >= self._batch:
            self._compute()

    def flush(self) -> None:
        """Make and store the rows of all images in the queue."""
        if self._images:
            self._compute()
        self._take(at_most=0)
        for queue in self.queues:
            queue.store_rows()

    def stop(self) -> None:
        """Begin no more calls, wait for those that run, and store what is made. Images that wait are given up."""
        started = [(items, call) for items, call in self._running if not call.cancel()]
        wait([call for _, call in started])
        self._running.clear()
        for items, call in started:
            if not call.exception():
                self._keep(items, call.result()[0])
        for queue in self.queues:
            queue.store_rows()

    def close(self) -> None:
        """Compute nothing more."""
        if self._threads:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def _compute(self) -> None:
        """Have the images that wait computed."""
        items, self._images = self._images, []
        if self._network is None or self._threads is None:
            self._begin(items)
            return
        self._running.append((items, self._threads.submit(_timed, self._network, [item.pixels for item in items])))
        self._take(at_most=self._network.calls + max(1, IMAGES_AHEAD // self._network.batch))

    def _begin(self, items: Sequence[_Item]) -> None:
        """Load the network, and compute the first images after those of the canary, which each task checks."""
        canary, self._canary = self._canary, {}
        self._network = self.the_pass.load(max(self.expected, len(items)))
        outputs, seconds = _timed(self._network, [*canary.values(), *(item.pixels for item in items)])
        self.seconds += seconds
        for queue, rows in zip(self.queues, outputs, strict=True):
            queue.task.check(dict(zip(canary, rows, strict=False)), self.made_with())
        self._keep(items, tuple(rows[len(canary) :] for rows in outputs))
        self._batch = self._network.batch
        self._threads = ThreadPoolExecutor(self._network.calls, "featstore-compute")

    def _take(self, at_most: int) -> None:
        """Take the rows of calls that are done, and wait until `at_most` are left."""
        while self._running and (len(self._running) > at_most or self._running[0][1].done()):
            self._take_first()

    def _take_first(self) -> None:
        outputs, seconds = self._running[0][1].result()  # an interruption of the waiting loses nothing
        items, _ = self._running.popleft()
        self.seconds += seconds
        self._keep(items, outputs)

    def _keep(self, items: Sequence[_Item], outputs: Outputs) -> None:
        for number, (queue, rows) in enumerate(zip(self.queues, outputs, strict=True)):
            places = [place for place, item in enumerate(items) if number in item.wanted]
            if places:
                queue.add_computed([items[place].row for place in places], rows[places])


def _timed(network: Network, images: Sequence[NDArray[Any]]) -> tuple[Outputs, float]:
    """Return the outputs of `network` for `images`, and the seconds that they took."""
    import numpy as np

    start = time.perf_counter()
    outputs = network(np.stack(images))
    return outputs, time.perf_counter() - start
