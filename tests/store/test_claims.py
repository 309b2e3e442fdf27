"""Claims on rows between processes: who may compute what, and what becomes of the claims of the dead."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from featstore.store import claims
from featstore.store.claims import Claims
from featstore.store.layout import CLAIMS
from featstore.store.rowid import SIZE, row_id
from featstore.system.disk import Disk, use_disk
from helpers.disks import DEATHS, ERRORS, FaultyDisk, Killed, live

HOLD = """
import sys, time
from pathlib import Path
from featstore.store import claims
claims.BEAT_SECONDS = float(sys.argv[2])
mine = claims.Claims(Path(sys.argv[1]))
for row in sys.argv[3:]:
    assert mine.claim(bytes.fromhex(row))
print("ready", flush=True)
time.sleep(60)
"""


AS_IT_IS = ("test_threads_share_the_claims_of_a_process", "test_a_claim_costs_microseconds")


@pytest.fixture(autouse=True)
def always_look(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are looked for at each claim, so that no test hangs by the instant."""
    if request.node.name not in AS_IT_IS:
        monkeypatch.setattr(claims, "_LIST_SECONDS", 0)


def row(number: int) -> bytes:
    return row_id(f"{number:064x}")


def files(folder: Path) -> list[Path]:
    return sorted((folder / CLAIMS).glob("*"))


def beats() -> int:
    return sum(thread.name == "featstore-claims" for thread in threading.enumerate())


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/dev/fd"))


def test_a_large_file_is_replaced_by_one_with_the_claims_that_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process sees them at every moment, and what was released is read once."""
    monkeypatch.setattr(claims, "_LARGE", 100 * SIZE)
    mine, other = Claims(tmp_path), Claims(tmp_path)
    assert mine.claim(row(0))
    [first] = files(tmp_path)
    for number in range(1, 200):
        assert mine.claim(row(number))
        mine.release([row(number)])
        assert (other.is_free(row(0)), other.is_free(row(number))) == (False, True)
    [last] = files(tmp_path)
    assert last != first
    assert last.stat().st_size < 110 * SIZE
    mine.release_all()
    assert files(tmp_path) == []


@contextmanager
def holder(folder: Path, *rows: bytes, beat: float = 10) -> Iterator[subprocess.Popen[str]]:
    """A process that claims `rows` and then does nothing."""
    command = [sys.executable, "-c", HOLD, str(folder), str(beat), *(r.hex() for r in rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def elsewhere(path: Path, age: float = 0) -> None:
    """Make a file of claims one of another machine's, last touched so many seconds ago."""
    _, _, rows = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({"machine": "another"}).encode() + b"\n" + rows)
    os.utime(path, (time.time() - age,) * 2)


def eventually(what: Callable[[], bool], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def refuse_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_row_is_claimed_once(tmp_path: Path) -> None:
    """What one has claimed the other is refused; its own claim it may repeat."""
    a, b = Claims(tmp_path), Claims(tmp_path)
    assert a.claim(row(1))
    assert a.claim(row(1))
    assert not b.claim(row(1))
    assert b.claim(row(2))
    assert not a.claim(row(2))
    assert a.claim(row(3))
    assert not b.claim(row(3))


def test_of_two_that_begin_at_once_one_is_refused(tmp_path: Path) -> None:
    """The own file is there before the others are looked for: the later one sees the earlier at its first claim."""
    a, b = Claims(tmp_path), Claims(tmp_path)
    a._append(())
    b._append(())
    assert [a.claim(row(1)), b.claim(row(1))] == [True, False]


def test_is_free_claims_nothing(tmp_path: Path) -> None:
    """One may ask without claiming, and writes nothing then."""
    a, b = Claims(tmp_path), Claims(tmp_path)
    assert a.is_free(row(1))
    assert not (tmp_path / CLAIMS).exists()
    assert b.claim(row(1))
    assert b.is_free(row(1))
    assert not a.is_free(row(1))
    assert a.is_free(row(2))
    assert len(files(tmp_path)) == 1


def test_withdrawn_claims_are_free(tmp_path: Path) -> None:
    """Releasing all claims leaves no file, folder or thread, and rows can be claimed again."""
    a, b = Claims(tmp_path), Claims(tmp_path)
    assert all(a.claim(row(n)) for n in range(5))
    assert not b.claim(row(0))
    b.release_all()
    a.release_all()
    assert not (tmp_path / CLAIMS).exists()
    assert b.claim(row(0))
    assert b.claim(row(4))
    assert not a.claim(row(0))
    b.release_all()
    a.release_all()
    assert eventually(lambda: beats() == 0)


def test_a_row_given_up_is_free_and_the_rest_is_not(tmp_path: Path) -> None:
    """A row that will never be stored is given up alone; it may be claimed again, also by the same process."""
    a, b = Claims(tmp_path), Claims(tmp_path)
    assert all(a.claim(row(n)) for n in range(3))
    assert not b.claim(row(1))
    a.release([row(1), row(7)])
    assert b.is_free(row(1))
    assert not b.is_free(row(0))
    assert not b.is_free(row(2))
    assert a.claim(row(1))
    assert not b.claim(row(1))
    a.release([row(1)])
    assert b.claim(row(1))
    assert not a.claim(row(1))


def test_nothing_is_given_up_by_one_who_has_claimed_nothing(tmp_path: Path) -> None:
    """Giving up writes no file."""
    Claims(tmp_path).release([row(1)])
    assert not (tmp_path / CLAIMS).exists()


def test_a_killed_process_has_no_claims(tmp_path: Path) -> None:
    """On the same machine the claims of a process end with it, without any waiting, and its file is cleared."""
    with holder(tmp_path, row(1), row(2)) as child:
        ours = Claims(tmp_path)
        assert not ours.claim(row(1))
        child.kill()
        child.wait()
        assert Claims(tmp_path).claim(row(1))
        assert eventually(lambda: ours.claim(row(2)), 1)
    assert not [path for path in files(tmp_path) if path.name.startswith(f"{child.pid}-")]


def test_a_process_that_only_waits_sees_a_death(tmp_path: Path) -> None:
    """It has claimed nothing yet, so it has no file of its own."""
    with holder(tmp_path, row(1)) as child:
        ours = Claims(tmp_path)
        assert not ours.is_free(row(1))
        child.kill()
        child.wait()
        assert eventually(lambda: ours.is_free(row(1)), 1)


def test_a_living_process_on_another_machine_counts(tmp_path: Path) -> None:
    """Its lock cannot be seen, so its file's time says whether it is alive."""
    with holder(tmp_path, row(1)) as child:
        child.kill()
        child.wait()
        elsewhere(*files(tmp_path), age=claims.DEAD_SECONDS - 20)
        assert not Claims(tmp_path).claim(row(1))
        assert len(files(tmp_path)) == 1


def test_a_silent_process_on_another_machine_is_dead(tmp_path: Path) -> None:
    """A file that was not touched for a minute has no claims; it may be a colleague's, so it is left there."""
    with holder(tmp_path, row(1)) as child:
        child.kill()
        child.wait()
        (path,) = files(tmp_path)
        elsewhere(path, age=claims.DEAD_SECONDS + 5)
        assert Claims(tmp_path).claim(row(1))
        assert path.exists()


def test_a_process_that_is_heard_of_again_counts_again(tmp_path: Path) -> None:
    """A machine that slept is back: what nobody took over meanwhile is its own as before."""
    with holder(tmp_path, row(1), row(2)):
        pass
    (path,) = files(tmp_path)
    elsewhere(path, age=claims.DEAD_SECONDS + 5)
    ours = Claims(tmp_path)
    assert ours.claim(row(1))
    os.utime(path)
    assert eventually(lambda: not ours.is_free(row(2)), 1)
    assert ours.claim(row(1))


def test_a_stopped_process_is_dead_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z keeps the lock, but nobody touches the file: others do not wait for it for ever."""
    monkeypatch.setattr(claims, "DEAD_SECONDS", 0.6)
    with holder(tmp_path, row(1), beat=0.1) as child:
        ours = Claims(tmp_path)
        for _ in range(10):  # longer than 0.6 s in all: it beats
            assert not ours.claim(row(1))
            time.sleep(0.1)
        os.kill(child.pid, signal.SIGSTOP)
        assert not ours.claim(row(1))
        assert eventually(lambda: ours.claim(row(1)), 3)
        os.kill(child.pid, signal.SIGCONT)


def test_a_clock_that_is_wrong_kills_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages are measured by the clock of the file system, not of this machine."""
    theirs, ours = Claims(tmp_path), Claims(tmp_path)
    assert theirs.claim(row(1))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not ours.claim(row(1))


def test_a_read_only_folder_costs_no_time(tmp_path: Path) -> None:
    """Every claim is granted, and writing is tried once, not for each row."""

    class ReadOnly(Disk):
        tried = 0

        def create(self, path: Path) -> int:
            self.tried += 1
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    before = use_disk(disk := ReadOnly())
    try:
        ours = Claims(tmp_path)
        assert all(ours.claim(row(n)) for n in range(100))
        assert disk.tried == 1
        ours.release([row(1)])
        ours.release_all()
        assert ours.claim(row(1))
        assert disk.tried == 2
    finally:
        use_disk(before)


def test_others_claims_are_respected_by_one_who_cannot_write(tmp_path: Path) -> None:
    """Reading is enough to see what the others are at."""
    theirs = Claims(tmp_path)
    assert theirs.claim(row(1))
    ours = Claims(tmp_path)
    ours._failed = True
    assert not ours.claim(row(1))
    assert ours.claim(row(2))
    assert theirs.claim(row(2))


@pytest.mark.parametrize("fault", ERRORS)
def test_no_fault_of_the_disk_comes_out(tmp_path: Path, fault: str) -> None:
    """Whatever fails, and whenever, claims are granted, nothing is left open, and none outlives its process."""

    def work() -> None:
        ours = Claims(tmp_path / "key")
        assert ours.claim(row(1))
        assert ours.claim(row(2))
        ours.release([row(1)])
        ours.release_all()

    nth, before = 1, descriptors()
    while True:
        disk = FaultyDisk(nth, fault)
        assert live(disk, work) is None
        assert not disk.open
        assert descriptors() == before
        assert Claims(tmp_path / "key").is_free(row(2))
        if not disk.met:
            break
        nth += 1
    assert nth > 5
    assert eventually(lambda: beats() == 0)


@pytest.mark.parametrize("fault", DEATHS)
def test_a_process_that_dies_at_any_operation_leaves_no_claims(tmp_path: Path, fault: str) -> None:
    """The next process is granted everything."""
    nth, died = 1, True
    while died:
        ours = Claims(tmp_path)
        died = isinstance(live(FaultyDisk(nth, fault), lambda: [ours.claim(row(n)) for n in range(3)]), Killed)  # noqa: B023
        if died:
            del ours
            gc.collect()
            other = Claims(tmp_path)
            assert all(other.claim(row(n)) for n in range(3))
            other.release_all()
        nth += 1
    assert nth > 4


def test_short_writes_are_completed(tmp_path: Path) -> None:
    """A system that takes half of the bytes does not shift the ids behind them."""
    for nth in range(1, 6):
        ours, folder = Claims(tmp_path / str(nth)), tmp_path / str(nth)
        before = use_disk(FaultyDisk(nth, "short write"))
        try:
            assert all(ours.claim(row(n)) for n in range(3))
        finally:
            use_disk(before)
        theirs = Claims(folder)
        assert not any(theirs.is_free(row(n)) for n in range(3))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_the_time_of_the_file_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file system without flock: a claim holds while its file is touched, and a dead one a minute longer."""
    refuse_locks(monkeypatch, number)
    theirs, ours = Claims(tmp_path), Claims(tmp_path)
    assert theirs.claim(row(1))
    assert not ours.claim(row(1))
    (path,) = [path for path in files(tmp_path) if row(1) in path.read_bytes()]
    os.utime(path, (time.time() - claims.DEAD_SECONDS - 5,) * 2)
    assert eventually(lambda: ours.claim(row(1)), 1)
    assert path.exists()


def test_a_vanished_folder_is_made_again(tmp_path: Path) -> None:
    """The cache was removed: claims continue, and each process writes all of its claims again at the next one."""
    a, b = Claims(tmp_path / "key"), Claims(tmp_path / "key")
    assert a.claim(row(1))
    assert b.claim(row(2))
    for path in files(tmp_path / "key"):
        path.unlink()
    (tmp_path / "key" / CLAIMS).rmdir()
    (tmp_path / "key").rmdir()
    assert a.claim(row(3))
    assert b.claim(row(4))
    assert not a.claim(row(4))
    assert not a.claim(row(2))
    assert not b.claim(row(3))
    assert not b.claim(row(1))
    a.release_all()
    b.release_all()


def test_a_lost_file_is_written_again_with_all_claims(tmp_path: Path) -> None:
    """A process whose file is gone writes a new one with all of its claims."""
    a, b = Claims(tmp_path), Claims(tmp_path)
    assert a.claim(row(1))
    assert b.claim(row(2))
    (path,) = [path for path in files(tmp_path) if row(1) in path.read_bytes()]
    path.unlink()
    assert a.claim(row(3))
    assert not b.claim(row(1))
    assert not b.claim(row(3))


def test_a_folder_that_others_remove_meanwhile_is_made_again(tmp_path: Path) -> None:
    """The last one to leave removes the folder, perhaps just when another one is about to make its file there."""

    class Unlucky(Disk):
        left = 2

        def create(self, path: Path) -> int:
            if self.left:
                self.left -= 1
                path.parent.rmdir()
            return super().create(path)

    before = use_disk(Unlucky())
    try:
        ours = Claims(tmp_path)
        assert ours.claim(row(1))
    finally:
        use_disk(before)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"no JSON\n" + row(1),
        b"[]\n",
        b"{}\n",
        b'{"machine": 3}\n' + row(1)[:20],
        b"[" * 100_000 + b"\n",
        b"\0" * 200_000,
        os.urandom(70_000),
    ],
    ids=range(9),
)
def test_garbage_is_no_claim(tmp_path: Path, content: bytes) -> None:
    """A file that nobody of ours wrote raises nothing and costs no more than it holds."""
    (tmp_path / CLAIMS).mkdir()
    (tmp_path / CLAIMS / "garbage").write_bytes(content)
    ours = Claims(tmp_path)
    assert ours.claim(row(2))
    assert ours.claim(row(3))
    ours.release_all()
    assert len(files(tmp_path)) == 1


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    """Folders, pipes and links among the claims neither raise nor block."""
    folder = tmp_path / CLAIMS
    (folder / "folder").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder / "nowhere")
    ours = Claims(tmp_path)
    assert ours.claim(row(1))
    ours.release_all()


def test_rows_that_arrive_in_pieces_are_put_together(tmp_path: Path) -> None:
    """Another machine's file may become visible piece by piece."""
    (tmp_path / CLAIMS).mkdir()
    data = b'{"machine": "another"}\n' + b"".join(row(n) for n in range(3))
    ours = Claims(tmp_path)
    with (tmp_path / CLAIMS / "other").open("wb", buffering=0) as file:
        for at in range(0, len(data), 7):
            file.write(data[at : at + 7])
            time.sleep(0.001)
            free = [ours.is_free(row(n)) for n in range(3)]
            whole = (at + 7 - len(data) + 3 * SIZE) // SIZE
            assert not any(free[: max(0, whole - 1)])
    assert eventually(lambda: not any(ours.is_free(row(n)) for n in range(3)), 1)


def test_claims_that_are_dropped_without_a_word_end(tmp_path: Path) -> None:
    """In a notebook the store of a failed job may just be forgotten: no process must wait for it."""
    ours = Claims(tmp_path)
    assert ours.claim(row(1))
    before = beats()
    del ours
    gc.collect()
    assert eventually(lambda: beats() < before)
    assert not (tmp_path / CLAIMS).exists()


def test_threads_share_the_claims_of_a_process(tmp_path: Path) -> None:
    """Threads of two processes' worth of claims get each row exactly once, and both get some."""
    two = Claims(tmp_path), Claims(tmp_path)
    for each in two:
        each.claim(row(2**20))
    time.sleep(2 * claims._LIST_SECONDS)
    granted: list[tuple[int, int]] = []

    def work(which: int) -> None:
        for n in range(500):
            if two[which].claim(row(n)):
                granted.append((n, which))

    threads = [threading.Thread(target=work, args=(number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {n for n, _ in granted} == set(range(500))
    owners = set(granted)  # threads of one process are all granted what it claimed
    assert len(owners) < 500 * 1.1
    for each in two:
        each.release_all()


def test_nothing_leaks(tmp_path: Path) -> None:
    """Many rounds of claiming leave as many descriptors and threads as before."""
    before = descriptors()
    for _ in range(20):
        a, b = Claims(tmp_path), Claims(tmp_path)
        assert a.claim(row(1))
        assert not b.claim(row(1))
        a.release_all()
        b.release_all()
    del a, b
    assert descriptors() == before
    assert eventually(lambda: beats() == 0)


def test_a_claim_costs_microseconds(tmp_path: Path) -> None:
    """It costs almost nothing compared with reading an image (about 4 µs; the limit allows for a busy machine)."""
    ours = Claims(tmp_path)
    rows = [row(n) for n in range(5000)]
    start = time.perf_counter()
    for each in rows:
        ours.claim(each)
    alone = (time.perf_counter() - start) / len(rows)
    other = Claims(tmp_path)
    start = time.perf_counter()
    assert not any(other.claim(each) for each in rows)
    assert alone < 100e-6
    assert (time.perf_counter() - start) / len(rows) < 100e-6
    ours.release_all()
    other.release_all()
