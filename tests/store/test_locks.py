"""Who may write to a key, who may remove from it, and when it was used last."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store import locks
from featstore.store.compaction import compact_key
from featstore.store.layout import USED
from featstore.store.locks import SharedLock, exclusive_lock, last_used, mark_used
from featstore.store.pruning import prune_key
from featstore.store.repair import repair_key
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from featstore.store.writer import RowWriter

HOLD = """
import sys, time
from pathlib import Path
from featstore.store import locks
mine = locks.SharedLock(Path(sys.argv[1]))
mine.acquire()
print("ready", flush=True)
time.sleep(60)
"""
KEY = key_of({})
OLD = 1e9


def key(folder: Path, name: str = "key") -> RowStore:
    return RowStore(folder / name, KEY, "{}", dict)


def write(store: RowStore, first: int = 0, count: int = 3) -> None:
    ids = [row_id(f"{number:064x}") for number in range(first, first + count)]
    with store.writing() as writer:
        writer.append(ids, np.full((count, 4), first, np.float16))


@contextmanager
def writer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write and has not finished."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def is_used(folder: Path) -> bool:
    try:
        with exclusive_lock(folder):
            return False
    except StoreError as error:
        assert "in use by another process" in str(error)
        return True


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def refuse_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_writers_share(tmp_path: Path) -> None:
    """Any number may write; an exclusive lock is refused until the last has ended."""
    a, b = SharedLock(tmp_path), SharedLock(tmp_path)
    a.acquire()
    a.acquire()
    b.acquire()
    assert is_used(tmp_path)
    a.release()
    assert is_used(tmp_path)
    b.release()
    b.release()
    assert not is_used(tmp_path)


def test_one_alone_keeps_the_next_one_out(tmp_path: Path) -> None:
    """Two that remove files do not do it together, and the lock goes with an exception too."""
    with pytest.raises(KeyError), exclusive_lock(tmp_path):
        assert is_used(tmp_path)
        raise KeyError
    assert not is_used(tmp_path)


def test_a_writer_waits_for_one_exclusive_lock(tmp_path: Path) -> None:
    """Compaction is not disturbed: who comes to write waits until it is over."""
    waiting = SharedLock(tmp_path)
    with exclusive_lock(tmp_path):
        thread = in_thread(waiting.acquire)
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()
    assert is_used(tmp_path)
    waiting.release()


def test_a_dead_writer_has_no_share(tmp_path: Path) -> None:
    """The system drops the lock of a process that is killed."""
    with writer(tmp_path) as child:
        assert is_used(tmp_path)
        child.kill()
        child.wait()
        assert not is_used(tmp_path)


def test_a_share_that_is_dropped_without_a_word_ends(tmp_path: Path) -> None:
    """A store that is forgotten does not keep the key from being pruned."""
    share = SharedLock(tmp_path)
    share.acquire()
    del share
    gc.collect()
    assert not is_used(tmp_path)


@pytest.mark.parametrize("care", [prune_key, repair_key, compact_key])
def test_nothing_is_removed_while_a_process_writes(tmp_path: Path, care: Callable[[Path], object]) -> None:
    """Prune, repair and compaction are refused, and change nothing, while another process has the key."""
    for first in range(3):
        write(key(tmp_path), 10 * first)
    folder = tmp_path / "key"
    with writer(folder):
        before = sorted(os.listdir(folder))
        with pytest.raises(StoreError, match="in use by another process: try again later; nothing was changed"):
            care(folder)
        assert sorted(os.listdir(folder)) == before
    care(folder)


def test_a_writer_whose_key_was_pruned_while_it_waited_has_a_new_lock(tmp_path: Path) -> None:
    """The lock that it gets is on a file that is gone: it counts for nothing, so another one is taken."""
    folder = tmp_path / "key"
    folder.mkdir()
    waiting = SharedLock(folder)
    with exclusive_lock(folder):
        thread = in_thread(waiting.acquire)
        thread.join(0.2)
        (folder / USED).unlink()  # as prune does
    thread.join(5)
    assert (folder / USED).exists()
    assert is_used(folder)
    waiting.release()


def test_a_lock_file_made_again_while_a_writer_waited_counts(tmp_path: Path) -> None:
    """The lock is on the file with the name, not on the removed one that was opened."""
    waiting = SharedLock(tmp_path)
    with exclusive_lock(tmp_path):
        thread = in_thread(waiting.acquire)
        thread.join(0.2)
        (tmp_path / USED).unlink()
        (tmp_path / USED).touch()
    thread.join(5)
    assert is_used(tmp_path)
    waiting.release()


def test_a_writer_that_waited_for_a_removed_folder_goes_on(tmp_path: Path) -> None:
    """The key was pruned: there is nothing to lock, and the first rows make the folder again."""
    write(key(tmp_path))
    store, folder = key(tmp_path), tmp_path / "key"
    with exclusive_lock(folder):
        writers: list[RowWriter] = []
        thread = in_thread(lambda: writers.append(store.writing()))
        thread.join(0.2)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    thread.join(5)
    assert not thread.is_alive()
    assert not folder.exists()
    assert len(store) == 0
    ids = [row_id("a" * 64)]
    [writer] = writers
    writer.append(ids, np.zeros((1, 4), np.float16))
    assert is_used(folder)
    writer.close()
    assert not is_used(folder)
    assert ids[0] in key(tmp_path)


def test_one_alone_does_not_hold_a_file_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking the file another one pruned and a writer came: that writer counts."""
    share, flock, first = SharedLock(tmp_path), fcntl.flock, [True]

    def slow_flock(descriptor: int, operation: int) -> None:
        if first and operation & fcntl.LOCK_EX:
            first.clear()
            (tmp_path / USED).unlink()
            share.acquire()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slow_flock)
    assert is_used(tmp_path)
    share.release()
    assert not is_used(tmp_path)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_all_write_and_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Writers never harm each other. Removal is refused, with a remedy, since a writer could be unnoticed."""
    refuse_locks(monkeypatch, number)
    write(key(tmp_path))
    write(key(tmp_path), 10)
    assert len(key(tmp_path)) == 6
    with pytest.raises(StoreError, match="no locks.*on a copy on a local disk.*nothing was changed"):
        prune_key(tmp_path / "key")
    assert len(key(tmp_path)) == 6


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A run that has nothing to store leaves nothing behind."""
    share = SharedLock(tmp_path / "key")
    share.acquire()
    share.release()
    mark_used(tmp_path / "key")
    assert not (tmp_path / "key").exists()
    with pytest.raises(StoreError, match="pruned meanwhile"), exclusive_lock(tmp_path / "key"):
        pass


def test_a_file_that_may_only_be_read_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may be a colleague's, so it is opened for reading only."""
    opened, real = [], os.open

    def note(path: Any, flags: int, *rest: int) -> int:
        opened.append(flags)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", note)
    share = SharedLock(tmp_path)
    share.acquire()
    share.release()
    assert {flags & os.O_ACCMODE for flags in opened} == {os.O_RDONLY}


def test_what_is_no_file_blocks_nobody(tmp_path: Path) -> None:
    """A pipe or a link in the place of the file is not waited for, and not followed."""
    os.mkfifo(tmp_path / USED)
    share = SharedLock(tmp_path)
    share.acquire()
    share.release()
    (tmp_path / USED).unlink()
    (tmp_path / USED).symlink_to(tmp_path / "elsewhere")
    share.acquire()
    share.release()
    with pytest.raises(StoreError, match="cannot be locked"), exclusive_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_time_of_the_last_use_is_noted(tmp_path: Path) -> None:
    """Writing and reading rows, and a run that found all of them, are uses; opening the store is none."""
    folder = tmp_path / "key"
    write(key(tmp_path))
    os.utime(folder / USED, (OLD, OLD))
    store = key(tmp_path)
    assert last_used(folder) == OLD
    store.read([row_id("0" * 64)])
    assert time.time() - last_used(folder) < 60
    os.utime(folder / USED, (OLD, OLD))
    store = key(tmp_path)
    with store.writing():
        assert last_used(folder) == OLD
    assert time.time() - last_used(folder) < 60


def test_a_key_without_notes_was_used_when_its_folder_was_changed(tmp_path: Path) -> None:
    """A cache may be copied without them; the next use makes the file."""
    (tmp_path / "spec.json").touch()
    os.utime(tmp_path, (OLD, OLD))
    assert last_used(tmp_path) == OLD
    mark_used(tmp_path)
    assert time.time() - last_used(tmp_path) < 60


def test_nothing_leaks(tmp_path: Path) -> None:
    """Every descriptor is closed, whatever was refused."""
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        share = SharedLock(tmp_path)
        share.acquire()
        assert is_used(tmp_path)
        share.release()
        assert not is_used(tmp_path)
        mark_used(tmp_path)
    assert len(os.listdir("/dev/fd")) == before


def test_no_removal_is_granted_beside_a_writer_in_a_race(tmp_path: Path) -> None:
    """Writers and removers that come and go, also over a lock file that is removed: never both at once."""
    writing, both, end = [0], [], time.monotonic() + 20
    guard = threading.Lock()

    def is_over() -> bool:
        return len(both) >= 2000 or time.monotonic() > end

    def write_now_and_then() -> None:
        while not is_over():
            share = SharedLock(tmp_path)
            share.acquire()
            with guard:
                writing[0] += 1
            time.sleep(0.0005)
            with guard:
                writing[0] -= 1
            share.release()
            time.sleep(0.001)

    def remove_now_and_then() -> None:
        while not is_over():
            try:
                with exclusive_lock(tmp_path):
                    with guard:
                        both.append(writing[0])
                    (tmp_path / locks.USED).unlink()
            except StoreError:
                time.sleep(0.0002)

    threads = [in_thread(work) for work in (write_now_and_then, remove_now_and_then) * 2]
    for thread in threads:
        thread.join(30)
    assert len(both) >= 2000
    assert not any(both)


def test_a_folder_without_a_spec_gets_no_note(tmp_path: Path) -> None:
    """It is being pruned."""
    mark_used(tmp_path)
    assert os.listdir(tmp_path) == []


def test_every_user_who_may_write_into_the_folder_may_note_a_use(tmp_path: Path) -> None:
    """A colleague's use counts as well: the file has the permissions of the folder, whatever the umask is."""
    for mode, expected in ((0o777, 0o666), (0o775, 0o664), (0o700, 0o600)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        before = os.umask(0o022)
        try:
            with exclusive_lock(folder):
                assert (folder / "used").stat().st_mode & 0o777 == expected
        finally:
            os.umask(before)


def test_a_writer_that_has_to_wait_says_so(tmp_path: Path) -> None:
    """Once, and only then."""
    waits: list[str] = []
    share = SharedLock(tmp_path)
    share.acquire(lambda: waits.append("waits"))
    share.release()
    assert waits == []
    with exclusive_lock(tmp_path):
        waiting = threading.Thread(target=lambda: share.acquire(lambda: waits.append("waits")))
        waiting.start()
        deadline = time.monotonic() + 20
        while not waits and time.monotonic() < deadline:
            time.sleep(0.01)
    waiting.join(20)
    share.release()
    assert waits == ["waits"]
