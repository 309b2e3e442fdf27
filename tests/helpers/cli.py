"""The command line, inside this process or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

# As in pyproject.toml: warnings are errors but for one, about how Keras reads its variables under NumPy 2.
WARNINGS = ("-W", "error", "-W", "ignore:__array__ implementation:DeprecationWarning")

Cli = Callable[..., subprocess.CompletedProcess[str]]


class Done(NamedTuple):
    code: int
    out: str
    err: str


def call(*arguments: object) -> Done:
    """`featstore ARGUMENTS` in this process, where TensorFlow is loaded once: its exit code, and what it printed."""
    from featstore.cli import app

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    kept = sys.argv, [(number, signal.getsignal(number)) for number in app.INTERRUPTIONS]
    sys.argv = ["featstore", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app.main()
    finally:
        sys.argv = kept[0]
        for number, handler in kept[1]:
            signal.signal(number, handler)
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return Done(int(ended.value.code or 0), *texts)
