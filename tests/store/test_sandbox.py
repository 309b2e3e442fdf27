"""The inspector: another process parses what this one did not make, and may die of it."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store import sandbox
from featstore.store.sandbox import Unparsable, inspect_shard
from featstore.store.shard import build_shard, parse_shard
from featstore.store.spec_file import NewerFormat
from helpers.children import environment
from helpers.keyfolder import SPEC, VERSIONS, filled, ids, key_of, open_key, put_shard, rows, save, shard_files, text_of


@pytest.fixture
def sound(tmp_path: Path) -> tuple[str, bytes]:
    """Name and bytes of a shard."""
    [path] = shard_files(filled(tmp_path, shards=1))
    return path.name, path.read_bytes()


def child() -> subprocess.Popen[bytes]:
    assert sandbox._inspector._child is not None
    return sandbox._inspector._child


def test_it_finds_what_the_parser_finds(sound: tuple[str, bytes]) -> None:
    """Field by field, also the refusals."""
    assert inspect_shard(*sound, key_of(SPEC)) == parse_shard(*sound, key_of(SPEC))
    assert inspect_shard(*sound, None) == parse_shard(*sound, None)
    with pytest.raises(StoreError, match="belongs to the key"):
        inspect_shard(*sound, "0" * 64)


def test_a_newer_format_is_distinguished_from_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of error is passed on."""
    folder = filled(tmp_path, shards=1)
    with monkeypatch.context() as patch:
        patch.setattr("featstore.store.shard.FORMAT_VERSION", 2)
        path = put_shard(folder, [9], rows(9))
    with pytest.raises(NewerFormat, match="format version 2"):
        inspect_shard(path.name, path.read_bytes(), key_of(SPEC))


def test_one_child_serves_many(sound: tuple[str, bytes]) -> None:
    """It is started once, by whichever thread comes first."""
    sandbox._inspector.stop()
    found = []
    threads = [threading.Thread(target=lambda: found.append(inspect_shard(*sound, None))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process = child()
    inspect_shard(*sound, None)
    assert (len(found), child()) == (4, process)


def test_damage_does_not_reach_it(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is compared before anything is sent."""
    monkeypatch.setattr(sandbox._inspector, "inspect", None)
    with pytest.raises(StoreError, match="do not match the name"):
        inspect_shard(sound[0], sound[1][:-1], None)


def harm(number: int) -> None:
    """Kill or stop the child."""
    os.kill(child().pid, number)
    if number == signal.SIGKILL:
        child().wait()


harms = pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])


@harms
def test_a_shard_that_kills_or_stops_two_is_refused(
    sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The error has a class of its own, and a new child inspects the next shard."""
    monkeypatch.setattr(sandbox, "SECONDS", 0.5)
    monkeypatch.setattr(sandbox, "AGAIN_SECONDS", 0.5)
    real = sandbox._Inspector._start

    def start(self: sandbox._Inspector) -> bool:
        started = real(self)
        harm(number)
        return started

    with monkeypatch.context() as patch:
        patch.setattr(sandbox._Inspector, "_start", start)
        sandbox._inspector.stop()
        with pytest.raises(Unparsable, match="it hangs or ends the process"):
            inspect_shard(*sound, None)
    assert inspect_shard(*sound, None).rows == 2


@harms
def test_what_befalls_the_child_is_not_held_against_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Stopped with Ctrl-Z or killed for memory, also while it is sent more than a pipe holds: another one is asked."""
    monkeypatch.setattr(sandbox, "SECONDS", 0.5)
    name, data = build_shard(key_of(SPEC), text_of(SPEC), VERSIONS, ids(0), np.ones((1, 2**20), np.float32))
    inspect_shard(name, data, None)
    harm(number)
    assert inspect_shard(name, data, None).rows == 1


def test_an_answer_about_another_shard_is_none(tmp_path: Path) -> None:
    """One is left over, of whatever reason: the ids that are served are those of the shard asked for."""
    first, second = shard_files(filled(tmp_path, shards=2))
    inspect_shard(first.name, first.read_bytes(), None)
    inspector, soon = sandbox._inspector, time.monotonic() + 20
    text = f'{{"name": "{first.name}", "key": null, "bytes": {first.stat().st_size}}}'.encode()
    inspector._write(len(text).to_bytes(4, "big") + text + first.read_bytes(), soon)
    assert inspect_shard(second.name, second.read_bytes(), None) == parse_shard(second.name, second.read_bytes(), None)


def test_a_forked_process_has_a_child_of_its_own(tmp_path: Path) -> None:
    """Two at once, forked while a thread held the lock: each gets its answers, and the parent keeps its child."""
    filled(tmp_path, shards=2)
    code = f"""
import os, signal, sys
from pathlib import Path
from helpers.keyfolder import folder_of, shard_files
from featstore.store.sandbox import _inspector, inspect_shard
from featstore.store.shard import parse_shard

def look(path):
    data = path.read_bytes()
    assert inspect_shard(path.name, data, None) == parse_shard(path.name, data, None)

first, second = shard_files(folder_of(Path({str(tmp_path)!r})))
look(first)
child, pids = _inspector._child.pid, []
for path in (first, second):
    with _inspector._lock:
        pids.append(os.fork())
    if not pids[-1]:
        signal.alarm(30)
        for _ in range(100):
            look(path)
        assert _inspector._child.pid != child
        sys.exit()  # through atexit, which ends the child
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
look(second)
assert _inspector._child.pid == child
"""
    warnings = ("-W", "error", "-W", "ignore::DeprecationWarning")  # newer Pythons warn of forks with threads
    command = [sys.executable, *warnings, "-c", code]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interruption_ends_it(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer would be taken for that to the next question."""
    inspect_shard(*sound, None)
    with monkeypatch.context() as patch:
        patch.setattr(select, "poll", lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            inspect_shard(*sound, None)
    assert sandbox._inspector._child is None
    assert inspect_shard(*sound, None).rows == 2


def test_without_a_child_the_shard_is_parsed_here(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be started, or the program is not Python."""
    for executable in ("/bin/false", "/nowhere", "", None):
        sandbox._inspector.stop()
        monkeypatch.setattr(sys, "executable", executable)
        assert inspect_shard(*sound, None).rows == 2
        assert sandbox._inspector._child is None


def test_a_user_with_many_pipes_has_a_child(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a quota larger pipes are forbidden: one of the usual size will do."""

    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    sandbox._inspector.stop()
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert inspect_shard(*sound, None).rows == 2
    assert child().poll() is None


def test_a_program_with_many_files_open_has_a_child(sound: tuple[str, bytes]) -> None:
    """Descriptors beyond 1,023 are nothing that `select` could wait for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("so many files may not be open here")
    sandbox._inspector.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1050)]
    try:
        assert inspect_shard(*sound, None).rows == 2
        assert child().poll() is None
    finally:
        for descriptor in held:
            os.close(descriptor)
        sandbox._inspector.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_ends_with_the_program(tmp_path: Path) -> None:
    """The way the program ends does not matter."""
    filled(tmp_path, shards=1)
    code = f"""
import sys
from pathlib import Path
from helpers.keyfolder import filled, open_key, shard_files
import os, signal
folder = Path({str(tmp_path)!r})
next(folder.glob("tiny/*/index")).unlink()
assert len(open_key(folder)) == 2
from featstore.store import sandbox
print(sandbox._inspector._child.pid, flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for end in ("exit", "kill"):
        command = [sys.executable, "-c", code, end]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        pid, deadline = int(done.stdout), time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        next(tmp_path.glob("tiny/*")).joinpath("index").unlink(missing_ok=True)
        store = open_key(tmp_path)
        save(store)
