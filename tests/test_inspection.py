"""The inspector: another process parses what this one did not make, and may die of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from keyfolder import SPEC, filled, key_of, open_key, put_shard, rows, shard_files

from featstore.errors import StoreError
from featstore.store import inspection
from featstore.store.inspection import inspect_shard
from featstore.store.keyfile import NewerFormat
from featstore.store.shard import parse_shard


@pytest.fixture
def sound(tmp_path: Path) -> tuple[str, bytes]:
    """Name and bytes of a shard."""
    [path] = shard_files(filled(tmp_path, shards=1))
    return path.name, path.read_bytes()


def child() -> subprocess.Popen[bytes]:
    assert inspection._inspector._child is not None
    return inspection._inspector._child


def test_it_finds_what_the_parser_finds(sound: tuple[str, bytes]) -> None:
    """Field by field, also the refusals."""
    assert inspect_shard(*sound, key_of(SPEC)) == parse_shard(*sound, key_of(SPEC))
    assert inspect_shard(*sound, None) == parse_shard(*sound, None)
    with pytest.raises(StoreError, match="belongs to the key"):
        inspect_shard(*sound, "0" * 64)


def test_a_newer_format_is_told_from_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of error comes across."""
    folder = filled(tmp_path, shards=1)
    with monkeypatch.context() as patch:
        patch.setattr("featstore.store.shard.FORMAT_VERSION", 2)
        path = put_shard(folder, [9], rows(9))
    with pytest.raises(NewerFormat, match="format version 2"):
        inspect_shard(path.name, path.read_bytes(), key_of(SPEC))


def test_one_child_serves_many(sound: tuple[str, bytes]) -> None:
    """It is started once, by whichever thread comes first."""
    inspection._inspector.stop()
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
    monkeypatch.setattr(inspection._inspector, "ask", None)
    with pytest.raises(StoreError, match="do not match the name"):
        inspect_shard(sound[0], sound[1][:-1], None)


def test_a_shard_that_kills_or_stops_it_is_refused(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next one is looked into by a new child."""
    monkeypatch.setattr(inspection, "SECONDS", 0.5)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        inspect_shard(*sound, None)
        os.kill(child().pid, number)
        if number == signal.SIGKILL:
            child().wait()
        with pytest.raises(StoreError, match="it hangs or ends the process"):
            inspect_shard(*sound, None)
    monkeypatch.undo()
    assert inspect_shard(*sound, None).rows == 2


def test_an_interruption_ends_it(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer would be taken for that to the next question."""
    inspect_shard(*sound, None)
    with monkeypatch.context() as patch:
        patch.setattr(inspection.select, "select", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            inspect_shard(*sound, None)
    assert inspection._inspector._child is None
    assert inspect_shard(*sound, None).rows == 2


def test_without_a_child_the_shard_is_parsed_here(sound: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started, or the program is no Python."""
    for executable in ("/bin/false", "/nowhere"):
        inspection._inspector.stop()
        monkeypatch.setattr(sys, "executable", executable)
        assert inspect_shard(*sound, None).rows == 2
        assert inspection._inspector._child is None


def test_it_ends_with_the_program(tmp_path: Path) -> None:
    """However that ends."""
    filled(tmp_path, shards=1)
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from keyfolder import filled, open_key, shard_files
import os, signal
folder = Path({str(tmp_path)!r})
next(folder.glob("tiny/*/index")).unlink()
assert len(open_key(folder)) == 2
from featstore.store import inspection
print(inspection._inspector._child.pid, flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for end in ("exit", "kill"):
        done = subprocess.run([sys.executable, "-c", code, end], capture_output=True, text=True)
        pid, deadline = int(done.stdout), time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        next(tmp_path.glob("tiny/*")).joinpath("index").unlink(missing_ok=True)
        store = open_key(tmp_path)
        store.finish()
