"""Bytes to disk: whole or not at all, at every operation that can fail."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from featstore.errors import StoreError
from featstore.system.files import FileStat, read_regular, write_whole
from helpers.disks import small_disk

OLD, NEW = b"old", b"new" * 1000
CALLS = {  # every system call of a write into a folder that exists, and what is at the target if that one fails
    ("open", 1): OLD,
    ("posix_fallocate", 1): OLD,
    ("write", 1): OLD,
    ("fsync", 1): OLD,
    ("replace", 1): OLD,
    ("fstat", 1): NEW,
    ("close", 1): NEW,
    ("open", 2): NEW,
    ("fsync", 2): NEW,
    ("close", 2): NEW,
}


def fail_nth(monkeypatch: pytest.MonkeyPatch, call: str, nth: int, error: BaseException) -> list[int]:
    """Make the nth call of os.<call>, and only that, raise; return the counter of calls."""
    real, count = getattr(os, call), [0]

    def faulty(*arguments: object, **options: object) -> object:
        count[0] += 1
        if count[0] == nth:
            if call == "close":  # the system releases the descriptor also where close reports an error
                real(*arguments)
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, faulty)
    return count


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file with old content, alone in its folder."""
    path = tmp_path / "x"
    path.write_bytes(OLD)
    return path


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call, nth", CALLS)
def test_a_failing_call_leaves_the_old_or_the_new_file(
    target: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int, number: int
) -> None:
    """Any failure is a StoreError, with no temporary file, no open file, and old content until the rename."""
    open_files = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patch:
        fail_nth(patch, call, nth, OSError(number, os.strerror(number)))
        with pytest.raises(StoreError, match="cannot be written"):
            write_whole(target, NEW)
    assert os.listdir(target.parent) == ["x"]
    assert target.read_bytes() == CALLS[call, nth]
    assert len(os.listdir("/dev/fd")) == open_files


@pytest.mark.parametrize("call, nth", CALLS)
def test_an_interruption_leaves_the_old_or_the_new_file(
    target: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    """Ctrl-C at any call passes on as it is, and leaves no temporary file."""
    with monkeypatch.context() as patch:
        fail_nth(patch, call, nth, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_whole(target, NEW)
    assert os.listdir(target.parent) == ["x"]
    assert target.read_bytes() == CALLS[call, nth]


@pytest.mark.parametrize("call, nth", CALLS)
def test_a_killed_writer_leaves_the_old_or_the_new_file(target: Path, call: str, nth: int) -> None:
    """A process that ends before any call does no harm; a leftover has the name of a temporary file."""
    code = f"""
import os, pathlib, featstore.system.files
real, count = os.{call}, [0]
def killed(*arguments, **options):
    count[0] += 1
    return os._exit(9) if count[0] == {nth} else real(*arguments, **options)
os.{call} = killed
featstore.system.files.write_whole(pathlib.Path({str(target)!r}), {NEW!r})
"""
    assert subprocess.run([sys.executable, "-S", "-c", code], env=with_path()).returncode == 9
    assert target.read_bytes() == CALLS[call, nth]
    leftovers = [name for name in os.listdir(target.parent) if name != "x"]
    renamed = CALLS[call, nth] == NEW
    assert all(name.startswith(".tmp-") for name in leftovers)
    assert len(leftovers) == (0 if renamed or call == "open" else 1)


def with_path() -> dict[str, str]:
    """Return the environment with this package importable without site-packages, whose hooks cost 0.1 s."""
    return {**os.environ, "PYTHONPATH": str(Path(sys.modules["featstore"].__file__ or "").parents[1])}


@pytest.mark.parametrize(
    "number, remedy",
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only; choose another folder"),
        (errno.EACCES, "choose another folder"),
        (errno.EIO, "check the disk"),
    ],
)
def test_the_message_is_one_line_with_a_remedy(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    """It names the file, what the system said, and what to do."""
    fail_nth(monkeypatch, "write", 1, OSError(number, os.strerror(number)))
    with pytest.raises(StoreError) as caught:
        write_whole(target, NEW)
    message = str(caught.value)
    assert message.startswith(f"{target}: cannot be written: {os.strerror(number)}; ")
    assert remedy in message
    assert "\n" not in message


def test_the_order_is_lock_write_sync_rename_sync(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are on disk before they have the name, and the name is before the call returns."""
    log: list[str] = []

    def record(module: Any, call: str) -> None:
        real = getattr(module, call)

        def recorded(*arguments: Any) -> Any:
            kind = ""
            if call == "fsync":
                kind = " folder" if stat.S_ISDIR(os.stat(arguments[0]).st_mode) else " file"
            log.append(call + kind)
            return real(*arguments)

        monkeypatch.setattr(module, call, recorded)

    for call in ("posix_fallocate", "write", "fsync", "replace"):
        record(os, call)
    record(sys.modules["fcntl"], "flock")
    write_whole(target, NEW)
    assert log == ["flock", "posix_fallocate", "write", "fsync file", "replace", "fsync folder"]


def test_new_folders_outlast_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a folder is on disk before a file is put into it; otherwise its files could be lost."""
    log: list[tuple[str, int]] = []
    mkdir, fsync = os.mkdir, os.fsync

    def recorded_mkdir(path: str, *arguments: Any) -> None:
        mkdir(path, *arguments)
        log.append(("mkdir", os.stat(path).st_ino))

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        log.append(("fsync", os.fstat(descriptor).st_ino))

    monkeypatch.setattr(os, "mkdir", recorded_mkdir)
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    write_whole(tmp_path / "a" / "b" / "x", NEW)
    top, a, b, x = (path.stat().st_ino for path in (tmp_path, *sorted(tmp_path.rglob("*"))))
    made = [("mkdir", a), ("fsync", top), ("mkdir", b), ("fsync", a)]
    assert log == [*made, ("fsync", x), ("fsync", b)]


def test_a_folder_made_by_another_process_meanwhile_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that start with an empty cache both make its folders."""
    real = Path.is_dir

    def too_early(self: Path) -> bool:
        answer = real(self)
        if not answer:
            self.mkdir()
        return answer

    monkeypatch.setattr(Path, "is_dir", too_early)
    write_whole(tmp_path / "a" / "x", NEW)
    assert (tmp_path / "a" / "x").read_bytes() == NEW


def test_a_folder_that_cannot_be_made_is_a_store_error(target: Path) -> None:
    """A file has the name of the folder."""
    with pytest.raises(StoreError, match="cannot be written"):
        write_whole(target / "below" / "y", NEW)


@pytest.mark.parametrize("most", [1, 7, 2999])
def test_short_writes_are_completed(target: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The system may take fewer bytes than it is given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:most]))
    write_whole(target, NEW)
    assert target.read_bytes() == NEW


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOLCK])
def test_file_systems_that_can_do_less_are_fine(target: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Locks, allocation and the sync of a folder are skipped if the system does not support them."""

    def unsupported(*arguments: object) -> None:
        raise OSError(number, "not supported")

    real = os.fsync

    def only_of_files(descriptor: int) -> None:
        real(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else unsupported()

    monkeypatch.setattr("fcntl.flock", unsupported)
    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    monkeypatch.setattr(os, "fsync", only_of_files)
    write_whole(target, NEW)
    assert target.read_bytes() == NEW


def test_the_sync_of_the_file_is_neither_passed_over_nor_tried_again(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure the kernel may have dropped the pages: a second success would mean nothing."""
    count = fail_nth(monkeypatch, "fsync", 1, OSError(errno.EINVAL, "not supported"))
    with pytest.raises(StoreError):
        write_whole(target, NEW)
    assert count == [1]


def test_a_full_disk_shows_before_a_byte_is_written(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space is allocated first."""
    fail_nth(monkeypatch, "posix_fallocate", 1, OSError(errno.ENOSPC, "no space"))
    written = fail_nth(monkeypatch, "write", 0, OSError())
    with pytest.raises(StoreError):
        write_whole(target, NEW)
    assert written == [0]


def test_the_temporary_file_is_made_new(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its flags exclude an existing file and a link."""
    flags: list[int] = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, how, *rest: (flags.append(how), real(path, how, *rest))[1])
    write_whole(target, NEW)
    assert flags[0] == os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def test_the_temporary_file_never_belongs_to_another_user(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link with the name of the temporary file is neither followed nor removed with its target."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "guessed")
    victim = target.with_name("victim")
    victim.write_bytes(b"precious")
    trap = target.with_name(f".tmp-{os.getpid()}-guessed")
    for lay in (trap.symlink_to, trap.hardlink_to):
        lay(victim)
        with pytest.raises(StoreError, match="exists"):
            write_whole(target, NEW)
        assert (target.read_bytes(), victim.read_bytes()) == (OLD, b"precious")
        trap.unlink()


def test_a_link_at_the_target_is_replaced_not_followed(target: Path) -> None:
    """What it points to keeps its content."""
    link = target.with_name("link")
    link.symlink_to(target)
    write_whole(link, NEW)
    assert (link.is_symlink(), link.read_bytes(), target.read_bytes()) == (False, NEW, OLD)


def test_the_state_of_the_written_file_is_returned(target: Path) -> None:
    """A reader will find the same state."""
    assert write_whole(target, NEW) == FileStat.of(target.stat())
    assert target.stat().st_size == len(NEW)


def test_no_bytes_are_written_too(target: Path) -> None:
    """An empty file is a file."""
    write_whole(target, b"")
    assert target.read_bytes() == b""


def test_readers_see_one_writers_file_or_anothers(target: Path) -> None:
    """Several writers of one name never leave a mixture, nor a moment without the file."""
    contents = [bytes([n]) * 50_000 for n in range(3)]
    write_whole(target, contents[0])
    writers = [threading.Thread(target=lambda c=c: [write_whole(target, c) for _ in range(15)]) for c in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert target.read_bytes() in contents
    assert os.listdir(target.parent) == ["x"]


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """One line; stored files are whole, and writing works again once there is space."""
    with small_disk(tmp_path / "disk", 2**20) as disk:
        write_whole(disk / "first", b"1" * 600_000)
        with pytest.raises(StoreError, match="No space left on device; free some space"):
            write_whole(disk / "second", b"2" * 600_000)
        assert os.listdir(disk) == ["first"]
        assert (disk / "first").read_bytes() == b"1" * 600_000
        (disk / "first").unlink()
        write_whole(disk / "second", b"2" * 600_000)
        assert (disk / "second").read_bytes() == b"2" * 600_000


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe, a folder or a device in the place of a file is an error, without waiting."""
    (tmp_path / "x").write_bytes(b"bytes")
    data, state = read_regular(tmp_path / "x")
    assert (data, state) == (b"bytes", FileStat.of((tmp_path / "x").stat()))
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="regular file|directory"):
            read_regular(path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
