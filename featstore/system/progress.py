"""Progress of long jobs: what a job reports, and a display on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from featstore.system.text import safe

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

OnStep = Callable[[int, int], None]  # (steps done, steps in all at the most)

_SECONDS = 10  # between lines, where standard error is not a terminal


class Progress(Protocol):
    """What a job reports while it runs, from its own thread."""

    def start(self, total: int, reused: int) -> None:
        """Begin an extraction of `total` images, of which `reused` are in the cache."""

    def advance(self, computed: bool) -> None:
        """Count one more image."""

    def wait(self, images: int) -> None:
        """Note that the job waits for `images` images of another process; called repeatedly while it waits."""

    def hold(self) -> None:
        """Note that the job waits until another process has repaired, compacted or pruned the cache."""

    def tell(self, text: str) -> None:
        """Tell a line about the job, such as what it is about to train on."""

    def steps(self, title: str, unit: str = "steps") -> OnStep:
        """Return a function to call after each step of a phase of the job; `title` names the phase."""


class Silent:
    """A Progress that shows nothing."""

    def start(self, total: int, reused: int) -> None: ...

    def advance(self, computed: bool) -> None: ...

    def wait(self, images: int) -> None: ...

    def hold(self) -> None: ...

    def tell(self, text: str) -> None: ...

    def steps(self, title: str, unit: str = "steps") -> OnStep:
        return lambda done, total: None


class Display:
    """Bars on a terminal, else a line every ten seconds: images or steps per second, and the time left.

    Nothing is shown for an extraction that finds all its images in the cache.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._done = self._todo = 0
        self._start = self._last = 0.0
        self._wait_shown = False
        self.told: set[str] = set()

    def start(self, total: int, reused: int) -> None:
        self.stop()
        self._done, self._todo = 0, total - reused
        if not self._todo:
            return
        self._start = self._last = time.perf_counter()
        if reused:
            _write(f"{reused} of {total} images are in the cache, {self._todo} to go")
        if sys.stderr.isatty():
            self._bar = _make_bar()
            self._task = self._bar.add_task("extracting", total=self._todo, unit="images")
            self._bar.start()

    def advance(self, computed: bool) -> None:
        self._done += 1
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)
            if self._done == self._todo:
                self.stop()
        elif time.perf_counter() - self._last > _SECONDS:
            self._last = time.perf_counter()
            rate = self._done / (self._last - self._start)
            left = (self._todo - self._done) / rate
            _write(f"{self._done}/{self._todo} images, {rate:.1f} images/s, {left:.0f} s left")

    def wait(self, images: int) -> None:
        if not self._wait_shown:
            self._wait_shown = True
            _write(f"{images} images are being extracted by another process: waiting for them")

    def hold(self) -> None:
        _write("the cache is being repaired, compacted or pruned by another process: waiting for it")

    def tell(self, text: str) -> None:
        if text in self.told:  # what holds for the data before they are read often holds afterwards
            return
        self.told.add(text)
        if self._bar is None:
            _write(text)
        else:  # above the bar, which a line would tear
            self._bar.console.print(safe(text), markup=False, highlight=False, soft_wrap=True)

    def steps(self, title: str, unit: str = "steps") -> OnStep:
        if not sys.stderr.isatty():
            return _line_every_ten_seconds(title, unit)
        task: TaskID | None = None

        def on_step(done: int, total: int) -> None:
            nonlocal task
            if self._bar is None or task is None:
                self.stop()
                self._bar = _make_bar()
                task = self._bar.add_task(title, total=None, unit=unit)
                self._bar.start()
            self._bar.update(task, completed=done, total=total)

        return on_step

    def stop(self) -> None:
        """Take the bar off the screen; safe to call at any time."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def displayed(progress: bool | Progress) -> Iterator[Progress]:
    """Yield a Progress for a job: a display until the end of the block, a silent one, or the user's own."""
    if not isinstance(progress, bool):
        yield progress
        return
    display = Display() if progress else None
    try:
        yield display or Silent()
    finally:
        if display:
            display.stop()


def _line_every_ten_seconds(title: str, unit: str) -> OnStep:
    last = None

    def on_step(done: int, total: int) -> None:
        nonlocal last
        if last is None:  # time before the first step does not count
            last = time.perf_counter()
        elif time.perf_counter() - last > _SECONDS:
            last = time.perf_counter()
            _write(f"{title}: {done}/{total} {unit}")

    return on_step


def _write(text: str) -> None:
    print(safe(text), file=sys.stderr)


def _make_bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:.1f} {task.fields['unit']}/s")

    # A descriptor of its own: the other one is muted while TensorFlow starts.
    stream: TextIO = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    count = TextColumn("{task.completed}/{task.total}")
    columns = (TextColumn("{task.description}"), BarColumn(), count, Speed(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=stream, force_terminal=True), transient=True)
