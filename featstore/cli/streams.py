"""Standard output and standard error that are full, closed, or a pipe whose reader has gone.

Output that is lost ends the command: it is the result. A lost note does not: the work that it tells of goes on.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

from featstore.errors import StoreError

_PIPE_EXIT_CODE = 141  # as of a program that SIGPIPE ends, which a shell takes for no error at the end of a pipe


class OutputLost(StoreError):
    """Standard output cannot be written.

    Attributes:
        exit_code: That of the command.
        is_silent: Whether the reader of a pipe has gone, as `head` does, so that nobody misses the rest.
    """

    def __init__(self, error: OSError) -> None:
        self.is_silent = error.errno == errno.EPIPE
        self.exit_code = _PIPE_EXIT_CODE if self.is_silent else 1
        super().__init__(f"standard output: cannot be written: {error.strerror}; the rest of the output is lost")


class _Output:
    """Standard output, whose failures raise OutputLost; from the first one on, all that is written does."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lost: OutputLost | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._failures():
            self._stream.write(text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write `data` after all text so far."""
        with self._failures():
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.flush()

    def flush(self) -> None:
        with self._failures():
            self._stream.flush()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        if self._lost is None:
            try:
                yield
                return
            except OSError as error:
                self._lost = OutputLost(error)
                _lead_nowhere(self._stream)
        raise self._lost  # again, since Typer tries a stream before it uses it, and ignores what that raises


class _Notes:
    """Standard error, whose failures are ignored."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._failures():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._failures():
            self._stream.flush()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            _lead_nowhere(self._stream)


def _lead_nowhere(stream: Any) -> None:
    """Lose what comes: Python flushes the stream again when it ends, and would report the same failure."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Raise OutputLost in the block where standard output cannot be written; ignore notes that cannot be."""
    _open_closed_ones()
    output, notes = _Output(sys.stdout), _Notes(sys.stderr)
    with redirect_stdout(cast(TextIO, output)), redirect_stderr(cast(TextIO, notes)):
        yield


def _open_closed_ones() -> None:
    """Let closed streams lead nowhere: the next file that is opened would take their place, and get what is printed.

    `print` would write notes to standard output, too.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
