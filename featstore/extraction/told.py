"""The progress of a job whose images other processes do: what they tell, and its display as that of one job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from featstore.system.progress import OnStep, Progress

_TELL_SECONDS = 0.2


class Advance(NamedTuple):
    """So many more images are done in the run of this number."""

    run: int
    images: int


class Tell(NamedTuple):
    """A line about the job."""

    text: str


class Hold(NamedTuple):
    """The cache is being repaired, compacted or pruned."""


News = Advance | Tell | Hold


class Reporter:
    """A Progress that tells how many images are done, a few times a second.

    send: is given what there is to tell. is_own: whether the images are the share of this process; of those of others
    only those count that are computed here.
    """

    def __init__(self, send: Callable[[News], object], is_own: bool = True) -> None:
        self._send, self._is_own = send, is_own
        self._run = self._images = 0
        self._told = time.monotonic()

    def start(self, total: int, reused: int) -> None:
        self.flush()
        self._run += 1
        self._images = reused if self._is_own else 0
        if reused == total:
            self.flush()

    def advance(self, computed: bool) -> None:
        self._images += computed or self._is_own
        if time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            self.flush()

    def wait(self, images: int) -> None:
        self.flush()

    def hold(self) -> None:
        self._send(Hold())

    def tell(self, text: str) -> None:
        self._send(Tell(text))

    def steps(self, title: str, unit: str = "steps") -> OnStep:
        return lambda done, total: None

    def flush(self) -> None:
        """Tell what was not told yet."""
        if self._images:
            self._send(Advance(self._run, self._images))
            self._images = 0


class Bar:
    """The progress of all processes as that of one job, which reads the images once or, of many bases, in several runs.

    An image may count twice, for the process that left it and for the one that took it up: no more are shown than
    there are.
    """

    def __init__(self, progress: Progress, total: int, missing: int) -> None:
        self._progress, self._total, self._missing = progress, total, missing
        self._run = self._shown = 0
        self._told: set[str] = set()

    def show(self, told: News) -> None:
        if isinstance(told, Advance):
            self._advance(told)
        elif isinstance(told, Hold):
            self._progress.hold()
        elif told.text not in self._told:
            self._told.add(told.text)
            self._progress.tell(told.text)

    def _advance(self, told: Advance) -> None:
        if told.run < self._run:
            return
        if told.run > self._run:
            self._run, self._shown = told.run, 0
            self._progress.start(self._total, reused=self._total - self._missing)
        images = min(told.images, self._missing - self._shown)
        self._shown += images
        for _ in range(images):
            self._progress.advance(computed=True)
