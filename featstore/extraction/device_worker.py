"""A process that computes on one device, as the process sees it that has started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe

from featstore.extraction.device_work import Done, Place, Told, Work
from featstore.system.gpus import VISIBLE_VARIABLE

_STOP_SECONDS = 60  # for a process that was told to stop: it stores what it has made
# The path of modules is that of this process, and not the working folder. Ctrl-C is for this process alone.
_START = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = sys.argv[2:]
from featstore.extraction.device_work import serve
serve(int(sys.argv[1]))
"""


class Worker:
    """A process that computes on one device. done: its answer, once it has given one to the last work."""

    def __init__(self, place: Place) -> None:
        self._device = place.device
        self.done: Done | None = None
        self.connection, other = Pipe()
        try:
            descriptor = other.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-c", _START, str(descriptor), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
                env={**os.environ, **_variables(place)},
            )
        finally:
            other.close()
        self._send(place)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def begin(self, work: Work) -> None:
        self.done = None
        self._send(work)

    def listen(self) -> Told | None:
        """Return what the process tells next; None if it has ended."""
        try:
            told: Told = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(told, Done):
            self.done = told
        return told

    def describe_end(self) -> str:
        """Return the line about a process that has ended before its work."""
        code = self._process.wait()
        if code >= 0:
            how = f"ended with exit code {code}"
        else:
            name = signal.Signals(-code).name
            why = ", most often since the memory was full" if -code == signal.SIGKILL else ""
            how = f"was killed by {name} (exit code {code}){why}"
        return f"the process on {self._device} {how}; what it has left is computed by the others, or here"

    def tell_to_stop(self) -> None:
        """Tell the process to store what it has made, and to end: this is also said by a pipe without a reader."""
        self.connection.close()
        if self.done is None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for the end of the process; one that does not stop is killed."""
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        finally:  # also if a second Ctrl-C ends the waiting
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def _send(self, what: Place | Work) -> None:
        with suppress(OSError):  # it has died, which `listen` finds
            self.connection.send(what)


def _variables(place: Place) -> dict[str, str]:
    """Return the environment variables of a process."""
    gpu = place.device.gpu
    variables = {
        VISIBLE_VARIABLE: gpu.id if gpu else "-1",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # or it would take all memory at once, that of other processes too
    }
    if not hasattr(os, "sched_setaffinity"):
        variables["TF_NUM_INTRAOP_THREADS"] = str(len(place.cores))
    return variables
