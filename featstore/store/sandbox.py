"""Looking into shards that this process did not make: HDF5 parses them in a process of its own.

A digest says that a shard is what somebody wrote, not that it was written in good faith: with HDF5 metadata made to
measure, libhdf5 hangs or ends its process (51 of 62,731 changes of one byte). That process is the inspector then, and
not the one that trains. It is started with the first unknown shard, and serves until it dies or the program ends. It
serves the process that started it: one that is forked off starts its own.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import IO

from featstore.errors import StoreError
from featstore.store.shard import Contents, check_digest, parse
from featstore.store.spec_file import NewerFormat

SECONDS = 10.0  # milliseconds are enough for any shard of ours
AGAIN_SECONDS = 60.0  # unless the machine swaps, or somebody stops the processes for a while
START_SECONDS = 60.0  # Python, numpy and h5py from a slow disk
_READY = b"ready\n"
_PIPE_BYTES = 2**20  # shards are megabytes


class Unparsable(StoreError):
    """A shard with which two inspectors in a row hung or ended. It may be sound, on a machine without memory."""


def inspect_shard(name: str, data: bytes, key: str | None) -> Contents:
    """The contents of a shard of `key` (None: of any key); raises StoreError as `parse_shard` does.

    The digest is compared first, here. Raises Unparsable for a shard that ends or outlasts the inspector twice.
    """
    check_digest(name, data)
    return _inspector.ask(name, data, key)


class _Inspector:
    """The child process; threads take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, name: str, data: bytes, key: str | None) -> Contents:
        with self._lock:
            if self._child is None and not self._start():
                return parse(name, data, key)  # no child can be had here: the digest has been compared
            answer = self._try(name, data, key, SECONDS)
            if answer is None and self._start():  # stopped, killed or swapped out: that need not be the shard's doing
                answer = self._try(name, data, key, AGAIN_SECONDS)
        if answer is None:
            raise Unparsable(f"{name}: not a shard that HDF5 can read: it hangs or ends the process")
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            _close_pipes(child)

    def forget(self) -> None:
        """In a process just forked off: the child is the parent's, and so is the thread that may hold the lock."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        if child is not None:
            child.returncode = 0  # not ours to wait for: else Python would warn
            _close_pipes(child)

    def _start(self) -> bool:
        """Whether there is a child now."""
        if not sys.executable:  # Python inside another program
            return False
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", "from featstore.store.sandbox import serve; serve()"],
                bufsize=0,  # what is buffered here would be sent once more by a process forked off
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            os.set_blocking(self._stdin, False)
            with suppress(OSError, AttributeError):  # the user has many pipes already; not Linux
                fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            if self._read(len(_READY), time.monotonic() + START_SECONDS) == _READY:
                return True
        except (OSError, ValueError):
            pass
        except BaseException:  # Ctrl-C
            self.stop()
            raise
        self.stop()
        return False

    def _try(self, name: str, data: bytes, key: str | None, seconds: float) -> Contents | StoreError | None:
        """What the child says within so many seconds; None where it says nothing, which is its end."""
        try:
            return self._answer(name, data, key, time.monotonic() + seconds)
        except (OSError, ValueError):
            self.stop()
            return None
        except BaseException:  # Ctrl-C: the answer is still to come, to nobody
            self.stop()
            raise

    def _answer(self, name: str, data: bytes, key: str | None, deadline: float) -> Contents | StoreError:
        """Raises OSError or ValueError where there is none."""
        question = json.dumps({"name": name, "key": key, "bytes": len(data)}).encode()
        self._write(len(question).to_bytes(4) + question, deadline)
        self._write(data, deadline)
        said = json.loads(self._read(int.from_bytes(self._read(4, deadline)), deadline))
        if said.pop("name") != name:
            raise ValueError("the answer to another question")
        if "error" in said:
            return (NewerFormat if said["newer"] else StoreError)(said["error"])
        ids = self._read(said.pop("ids"), deadline)
        return Contents(ids=ids, **{**said, "shape": tuple(said["shape"])})

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._stdin, select.POLLOUT, deadline)
            rest = rest[os.write(self._stdin, rest) :]

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._child is not None
        assert self._child.stdout is not None
        descriptor, parts = self._child.stdout.fileno(), []
        while size:
            _wait(descriptor, select.POLLIN, deadline)
            part = os.read(descriptor, size)
            if not part:
                raise ValueError("no answer")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    @property
    def _stdin(self) -> int:
        assert self._child is not None
        assert self._child.stdin is not None
        return self._child.stdin.fileno()


def _close_pipes(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Until it can be read from or written to; raises TimeoutError."""
    ready = select.poll()  # `select` knows no descriptors beyond 1,023
    ready.register(descriptor, event)
    if not ready.poll(1000 * max(0.0, deadline - time.monotonic())):
        raise TimeoutError("no answer")


_inspector = _Inspector()
atexit.register(_inspector.stop)
os.register_at_fork(after_in_child=_inspector.forget)


def serve() -> None:
    """What the child does: parse what comes in, until nothing more does."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    given, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write into the answers
    told.write(_READY)
    told.flush()
    while size := given.read(4):
        question = json.loads(given.read(int.from_bytes(size)))
        _tell(told, *_look_into(question["name"], given.read(question["bytes"]), question["key"]))


def _look_into(name: str, data: bytes, key: str | None) -> tuple[dict[str, object], bytes]:
    try:
        found = parse(name, data, key)
    except StoreError as error:
        return {"name": name, "error": str(error), "newer": isinstance(error, NewerFormat)}, b""
    shape = list(found.shape)
    said = {
        "name": name,
        "dtype": found.dtype,
        "shape": shape,
        "offset": found.offset,
        "spec": found.spec,
        "versions": found.versions,
    }
    return {**said, "ids": len(found.ids)}, found.ids


def _tell(told: IO[bytes], said: dict[str, object], ids: bytes) -> None:
    text = json.dumps(said).encode()
    told.write(len(text).to_bytes(4) + text + ids)
    told.flush()
