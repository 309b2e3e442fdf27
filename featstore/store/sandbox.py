"""Inspecting shards that this process did not make: HDF5 parses them in a child process.

A digest shows that a shard was not changed, not that it was written in good faith: crafted HDF5 metadata makes libhdf5
hang or end its process (51 of 62,731 changes of one byte). The process that ends is then the child, the inspector, and
not the one that trains. It starts with the first unknown shard, and serves until it dies or the program ends. It serves
only the process that started it: a forked process starts its own.
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
AGAIN_SECONDS = 60.0  # the second time: the machine may swap, or the processes may have been stopped for a while
START_SECONDS = 60.0  # Python, numpy and h5py from a slow disk
_READY = b"ready\n"
_PIPE_BYTES = 2**20  # shards are megabytes


class Unparsable(StoreError):
    """A shard with which two inspectors in a row hung or ended. It may be sound if the machine is short of memory."""


def inspect_shard(name: str, data: bytes, key: str | None) -> Contents:
    """Return the contents of a shard of `key` (None: any key); raises StoreError as `parse_shard` does.

    The digest is compared first, in this process. Raises Unparsable if the inspector ends or hangs twice.
    """
    check_digest(name, data)
    return _inspector.inspect(name, data, key)


class _Inspector:
    """The child process; threads take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def inspect(self, name: str, data: bytes, key: str | None) -> Contents:
        with self._lock:
            if self._child is None and not self._start():
                return parse(name, data, key)  # no child can be started here; the digest has been compared
            response = self._try(name, data, key, SECONDS)
            if response is None and self._start():  # the shard need not be why: stopped, killed or swapped out
                response = self._try(name, data, key, AGAIN_SECONDS)
        if response is None:
            raise Unparsable(f"{name}: not a shard that HDF5 can read: it hangs or ends the process")
        if isinstance(response, StoreError):
            raise response
        return response

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            _close_pipes(child)

    def forget(self) -> None:
        """Forget the child in a forked process: it is the parent's, and so is the thread that may hold the lock."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        if child is not None:
            child.returncode = 0  # it is not this process's child, and Python would warn
            _close_pipes(child)

    def _start(self) -> bool:
        """Start a child; return whether it works."""
        if not sys.executable:  # Python inside another program
            return False
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", "from featstore.store.sandbox import serve; serve()"],
                bufsize=0,  # a forked process would send a buffer once more
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
        """Return what the child answers within `seconds`; None if it does not, and it is then stopped."""
        try:
            return self._exchange(name, data, key, time.monotonic() + seconds)
        except (OSError, ValueError):
            self.stop()
            return None
        except BaseException:  # Ctrl-C: the response would be read as that to the next request
            self.stop()
            raise

    def _exchange(self, name: str, data: bytes, key: str | None, deadline: float) -> Contents | StoreError:
        """Return the response of the child; raises OSError or ValueError if there is none."""
        request = json.dumps({"name": name, "key": key, "bytes": len(data)}).encode()
        self._write(len(request).to_bytes(4) + request, deadline)
        self._write(data, deadline)
        response = json.loads(self._read(int.from_bytes(self._read(4, deadline)), deadline))
        if response.pop("name") != name:
            raise ValueError("the response to another request")
        if "error" in response:
            return (NewerFormat if response["newer"] else StoreError)(response["error"])
        ids = self._read(response.pop("ids"), deadline)
        return Contents(ids=ids, **{**response, "shape": tuple(response["shape"])})

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
                raise ValueError("no response")
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
    """Wait until a descriptor can be read or written; raises TimeoutError."""
    ready = select.poll()  # `select` fails for descriptors beyond 1,023
    ready.register(descriptor, event)
    if not ready.poll(1000 * max(0.0, deadline - time.monotonic())):
        raise TimeoutError("no response")


_inspector = _Inspector()
atexit.register(_inspector.stop)
os.register_at_fork(after_in_child=_inspector.forget)


def serve() -> None:
    """Serve as the child: parse the shards that come in, until the pipe is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops the child
    requests, responses = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write into the responses
    responses.write(_READY)
    responses.flush()
    while size := requests.read(4):
        request = json.loads(requests.read(int.from_bytes(size)))
        _write_response(responses, *_inspect(request["name"], requests.read(request["bytes"]), request["key"]))


def _inspect(name: str, data: bytes, key: str | None) -> tuple[dict[str, object], bytes]:
    try:
        found = parse(name, data, key)
    except StoreError as error:
        return {"name": name, "error": str(error), "newer": isinstance(error, NewerFormat)}, b""
    response: dict[str, object] = {
        "name": name,
        "dtype": found.dtype,
        "shape": list(found.shape),
        "offset": found.offset,
        "spec": found.spec,
        "versions": found.versions,
        "checked": found.checked,
        "ids": len(found.ids),
    }
    return response, found.ids


def _write_response(responses: IO[bytes], response: dict[str, object], ids: bytes) -> None:
    text = json.dumps(response).encode()
    responses.write(len(text).to_bytes(4) + text + ids)
    responses.flush()
