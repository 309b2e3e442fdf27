"""Looking into shards that this process did not make: HDF5 parses them in a process of its own.

A digest says that a shard is what somebody wrote, not that it was written in good faith: with HDF5 metadata made to
measure, libhdf5 hangs or ends its process (51 of 62,731 changes of one byte). That process is the inspector then, and
not the one that trains. It is started with the first unknown shard, and serves until it dies or the program ends.
"""

from __future__ import annotations

import atexit
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
from featstore.store.keyfile import NewerFormat
from featstore.store.shard import Contents, check_digest, parse

SECONDS = 10.0  # milliseconds are enough for any shard of ours
START_SECONDS = 60.0  # Python, numpy and h5py from a slow disk
_READY = b"ready\n"


def inspect_shard(name: str, data: bytes, key: str | None) -> Contents:
    """The contents of a shard of `key` (None: of any key); raises StoreError as `parse_shard` does.

    The digest is compared first, here; a shard that ends or outlasts the inspector is refused.
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
            try:
                answer = self._answer(name, data, key)
            except (OSError, ValueError) as error:
                self.stop()
                raise StoreError(f"{name}: not a shard that HDF5 can read: it hangs or ends the process") from error
            except BaseException:  # Ctrl-C: the answer is still to come, to nobody
                self.stop()
                raise
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _start(self) -> bool:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", "from featstore.store.inspection import serve; serve()"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pipesize=2**20,  # shards are megabytes
            )
            if self._read(len(_READY), START_SECONDS) == _READY:
                return True
        except (OSError, ValueError):
            pass
        self.stop()
        return False

    def _answer(self, name: str, data: bytes, key: str | None) -> Contents | StoreError:
        """What the child says; raises OSError or ValueError where it says nothing."""
        assert self._child is not None
        assert self._child.stdin is not None
        question = json.dumps({"name": name, "key": key, "bytes": len(data)}).encode()
        self._child.stdin.write(len(question).to_bytes(4) + question)
        self._child.stdin.write(data)
        self._child.stdin.flush()
        said = json.loads(self._read(int.from_bytes(self._read(4, SECONDS)), SECONDS))
        if "error" in said:
            return (NewerFormat if said["newer"] else StoreError)(said["error"])
        ids = self._read(said.pop("ids"), SECONDS)
        return Contents(ids=ids, **{**said, "shape": tuple(said["shape"])})

    def _read(self, size: int, seconds: float) -> bytes:
        assert self._child is not None
        assert self._child.stdout is not None
        descriptor, deadline, parts = self._child.stdout.fileno(), time.monotonic() + seconds, []
        while size:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(descriptor, size) if ready else b""
            if not part:
                raise ValueError("no answer")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


_inspector = _Inspector()
atexit.register(_inspector.stop)


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
        return {"error": str(error), "newer": isinstance(error, NewerFormat)}, b""
    shape = list(found.shape)
    said = {
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
