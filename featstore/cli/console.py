"""What the command line prints: safe text, tables, notes and progress bars."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from featstore.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from featstore.heads.interface import OnStep

T = TypeVar("T")
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # control, format (bidirectional marks among them), surrogates, ...


def safe(text: str) -> str:
    """`text` with characters that could steer a terminal shown as escapes; file names are strangers' words."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata

    return "".join(
        c.encode("unicode_escape", "surrogatepass").decode() if unicodedata.category(c) in _UNSAFE else c for c in text
    )


_FLAGS = {"parameters": "--set", "rates": "--rate-of", "weights_seed": "--seed"}  # whose names differ from Python's


def flag(name: str, value: object) -> str:
    """Spell a parameter as on the command line: `--views ten`, or `--views` without a value or where it is a switch."""
    option = _FLAGS.get(name) or f"--{name.replace('_', '-')}"
    return option if value is None or value is True else f"{option} {value}"


def say(text: str) -> None:
    """One line on standard output."""
    print(safe(text))


def note(text: str) -> None:
    """One line on standard error."""
    print(safe(text), file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """`value` as the one object on standard output; ASCII, so that any name can be printed."""
    print(json.dumps(value, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Plain aligned columns; all but the first are set to the right where they look like numbers."""
    cells = [[safe(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    right = [
        i > 0 and all(row[i][:1].isdigit() or row[i] in ("", "-") for row in cells[1:]) for i in range(len(header))
    ]
    for row in cells:
        aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        print("  ".join(aligned).rstrip())


def spreadsheet_text(text: str) -> str:
    """`text` as a cell of a CSV; what a spreadsheet would take for a formula (OWASP's list) gets a leading quote."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def write_file(path: Path, data: bytes, option: str) -> None:
    """Write what the user asked for with `option`; in place, so that links and /dev/stdout are followed."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; choose another file for {option}") from error


def list_skipped(skipped: Sequence[tuple[str, str]], most: int = 20) -> None:
    """The skipped files with their reasons on standard error, and how many there are."""
    if not skipped:
        return
    note(f"{len(skipped)} skipped:")
    for path, reason in skipped[:most]:
        note(f"  {path}: {reason}")
    if len(skipped) > most:
        note(f"  ... and {len(skipped) - most} more (all of them with --json)")


def one_by_one(folders: Sequence[Path], work: Callable[[Path], T]) -> tuple[list[T], list[str]]:
    """What `work` made of each folder, and a line for each that could not be worked on: the others go on."""
    done: list[T] = []
    failed: list[str] = []
    for folder in folders:
        try:
            done.append(work(folder))
        except StoreError as error:
            failed.append(str(error))
    return done, failed


class ImageProgress:
    """Images per second, time left and what is reused, on standard error; shown once there is something to compute.

    A bar on a terminal, else a line every ten seconds. Implements `featstore.extraction.job.Progress`.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._done = self._todo = 0
        self._start = self._last = 0.0
        self._told = False

    def start(self, total: int, reused: int) -> None:
        self._done, self._todo = 0, total - reused
        if not self._todo:
            return
        self._start = self._last = time.perf_counter()
        if reused:
            note(f"{reused} of {total} images are in the cache, {self._todo} to go")
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task("extracting", total=self._todo, unit="images")
            self._bar.start()

    def advance(self, computed: bool) -> None:
        self._done += 1
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)
            if self._done == self._todo:
                self.stop()
        elif time.perf_counter() - self._last > 10:
            self._last = time.perf_counter()
            rate = self._done / (self._last - self._start)
            left = (self._todo - self._done) / rate
            note(f"{self._done}/{self._todo} images, {rate:.1f} images/s, {left:.0f} s left")

    def wait(self, images: int) -> None:
        if not self._told:
            self._told = True
            note(f"{images} images are being extracted by another process: waiting for them")

    def hold(self) -> None:
        note("the cache is being repaired, compacted or pruned by another process: waiting for it")

    def stop(self) -> None:
        """Take the bar off the screen; safe to call at any time."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def image_progress(shown: bool) -> Iterator[ImageProgress | None]:
    """A progress display for an extraction, gone when the block ends in whatever way."""
    display = ImageProgress() if shown else None
    try:
        yield display
    finally:
        if display:
            display.stop()


@contextmanager
def step_progress(title: str, shown: bool, unit: str = "steps") -> Iterator[OnStep | None]:
    """A callback (done, total) that moves a bar on a terminal, and elsewhere writes a line every ten seconds."""
    if not shown:
        yield None
        return
    if not sys.stderr.isatty():
        yield _line_every_ten_seconds(title, unit)
        return
    bar = _bar()
    task = bar.add_task(title, total=None, unit=unit)

    def on_step(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield on_step
    finally:
        bar.stop()


def _line_every_ten_seconds(title: str, unit: str) -> OnStep:
    last = None

    def on_step(done: int, total: int) -> None:
        nonlocal last
        if last is None:  # what came before the first step is no part of it
            last = time.perf_counter()
        elif time.perf_counter() - last > 10:
            last = time.perf_counter()
            note(f"{title}: {done}/{total} {unit}")

    return on_step


def _bar() -> Progress:
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
