"""Reading ahead: in order, no further than the window, and no byte more than is needed."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.datasets.file_lists import list_files
from featstore.datasets.manifest import Picture
from featstore.errors import DataError, UnreadableImage
from featstore.images import prefetch
from featstore.images.files import read_file
from featstore.images.prefetch import Fetched, fetch_all, read_again
from featstore.system.environment import default_threads
from featstore.system.files import FileStat


def pixels(raw: bytes) -> np.ndarray:
    """Stands for a decoder: the first byte, or an error for what is marked as broken."""
    if raw.startswith(b"broken"):
        raise UnreadableImage("is broken")
    return np.frombuffer(raw[:1], np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Picture]:
    """250 files, each with its own content."""
    for number in range(250):
        (tmp_path / f"{number:03}.png").write_bytes(bytes([number]) * (number + 1))
    return list(list_files([tmp_path]).pictures)


def fetched(pictures: list[Picture], read: Any = pixels, needed: Any = lambda digest: True) -> list[Fetched]:
    return list(fetch_all(pictures, read, needed, threads=3))


def test_pictures_come_in_the_order_given(files: list[Picture]) -> None:
    """However long each takes, with the digest and the pixels of its own bytes."""

    def uneven(raw: bytes) -> np.ndarray:
        time.sleep(0.002 * (raw[0] % 3))
        return pixels(raw)

    for given in (files, files[::-1]):
        found = fetched(given, uneven)
        assert [item.picture.path for item in found] == [picture.path for picture in given]
        for item in found:
            raw = Path(item.picture.path).read_bytes()
            assert item.picture.digest == hashlib.sha256(raw).hexdigest()
            assert item.pixels is not None
            assert item.pixels[0] == raw[0]
            assert item.reason is None


def test_only_what_is_needed_is_decoded(files: list[Picture]) -> None:
    """The digest decides, and it is known in any case."""
    wanted = {hashlib.sha256(bytes([n]) * (n + 1)).hexdigest() for n in range(0, 250, 10)}
    decoded: list[int] = []
    found = fetched(files, lambda raw: (decoded.append(raw[0]), pixels(raw))[1], wanted.__contains__)
    assert sorted(decoded) == list(range(0, 250, 10))
    assert [item.picture.known_digest in wanted for item in found] == [item.pixels is not None for item in found]


def test_nothing_is_read_further_ahead_than_the_window(files: list[Picture]) -> None:
    """A slow consumer bounds the memory, and one that stops causes no more reading."""
    read: list[int] = []
    items = fetch_all(files, lambda raw: (read.append(1), pixels(raw))[1], lambda digest: True, threads=3)
    assert read == []
    for taken in range(1, 4):
        next(items)
        time.sleep(0.05)
        assert len(read) <= taken + prefetch.WINDOW
    deadline = time.monotonic() + 30  # on a busy machine the threads may be late
    while len(read) < prefetch.WINDOW and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(read) >= prefetch.WINDOW
    items.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    assert len(read) <= 3 + prefetch.WINDOW


def test_who_stops_is_not_kept_waiting(files: list[Picture]) -> None:
    """After Ctrl-C, no new file is read, and pending ones are not waited for."""
    begun, go_on = threading.Semaphore(0), threading.Event()
    count: list[int] = []

    def blocked(raw: bytes) -> np.ndarray:
        count.append(1)
        begun.release()
        go_on.wait(5)
        return pixels(raw)

    items = fetch_all(files, blocked, lambda digest: digest != hashlib.sha256(bytes(1)).hexdigest(), threads=2)
    first = next(items)  # the only one that does not block
    assert first.pixels is None
    begun.acquire()
    begun.acquire()
    start = time.perf_counter()
    items.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - start < 2
    go_on.set()
    time.sleep(0.05)
    assert len(count) == 2


def test_files_are_read_by_as_many_threads_as_asked_for(files: list[Picture]) -> None:
    """Three of them meet in the reader, and a fourth never does."""
    inside, peak, lock = [0], [0], threading.Lock()

    def crowded(raw: bytes) -> np.ndarray:
        with lock:
            inside[0] += 1
            peak[0] = max(peak[0], inside[0])
        time.sleep(0.002)
        with lock:
            inside[0] -= 1
        return pixels(raw)

    fetched(files[:60], crowded)
    assert peak == [3]


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux only")
def test_a_file_that_cannot_be_used_has_a_reason_and_no_digest(files: list[Picture], tmp_path: Path) -> None:
    """This holds also where it had a digest before; the others are read."""
    Path(files[1].path).write_bytes(b"broken")
    Path(files[2].path).unlink()
    given = [picture._replace(known_digest="d" * 64) for picture in files[:4]]
    found = fetched(given)
    assert [item.reason for item in found] == [None, "is broken", "cannot be opened: No such file or directory", None]
    assert [item.picture.known_digest is None for item in found] == [False, True, True, False]
    assert [item.pixels is None for item in found] == [False, True, True, False]
    assert [item.picture.path for item in found] == [picture.path for picture in given]


def test_an_error_that_is_no_reason_passes_on(files: list[Picture]) -> None:
    """A bug in a reader is not listed among unreadable images."""

    def buggy(raw: bytes) -> np.ndarray:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fetched(files, buggy)


def test_the_state_is_that_of_the_bytes_read(files: list[Picture]) -> None:
    """Not that of the scan, which may be older."""
    path = Path(files[0].path)
    path.write_bytes(b"newer and longer")
    item = fetched(files[:1])[0]
    info = path.stat()
    assert item.picture.stat == FileStat(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
    assert item.picture.stat != files[0].stat
    assert read_file(str(path))[:2] == (b"newer and longer", item.picture.stat)


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terabyte of holes; at the limit it is read."""
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnreadableImage, match="is 1048576 MB, the limit is 64 MB"):
        read_file(str(path))
    monkeypatch.setenv("FEATSTORE_MAX_BYTES", "1000")
    path.write_bytes(b"x" * 1000)
    assert len(read_file(str(path)).raw) == 1000
    path.write_bytes(b"x" * 1001)
    with pytest.raises(UnreadableImage, match="limit"):
        read_file(str(path))


CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": lambda path: os.truncate(path, 14),
    "shrinks": lambda path: os.truncate(path, 3),
    "is written again": lambda path: path.write_bytes(b"9876543210"),
    "is replaced": lambda path: (path.with_name("new").write_bytes(b"9876543210"), path.with_name("new").rename(path)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_file_that_changes_while_it_is_read_gives_no_row(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes may belong to no state of the file that ever was, and to none that could be remembered."""
    path = tmp_path / "x.png"
    path.write_bytes(b"0123456789")
    os.utime(path, ns=(0, 0))
    real, calls = os.fstat, [0]

    def changing(descriptor: int) -> os.stat_result:
        info = real(descriptor)
        calls[0] += 1
        if calls[0] == 2:  # the first look is at the size
            CHANGES[what](path)
        return info

    monkeypatch.setattr(os, "fstat", changing)
    with pytest.raises(UnreadableImage, match="changed while it was read"):
        read_file(str(path))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """Neither one that nobody writes to, nor a folder, nor a device, can be an image."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    answers: list[str] = []

    def ask() -> None:
        for path in (str(pipe), "/dev/zero"):
            with pytest.raises(UnreadableImage) as caught:
                read_file(path)
            answers.append(str(caught.value))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(5)
    assert answers == ["not a regular file"] * 2
    with pytest.raises(UnreadableImage, match="cannot be opened: Is a directory"):
        read_file(str(tmp_path))


def test_there_are_as_many_threads_as_cores_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as many as the machine has; where that cannot be asked, as it has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    assert default_threads() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert default_threads() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_threads() == 1


def test_a_second_reading_returns_the_same_bytes_or_is_an_error(files: list[Picture]) -> None:
    """What was said about an image would be said of another one."""
    picture = fetched(files[:1])[0].picture
    assert hashlib.sha256(read_again(picture)).hexdigest() == picture.digest
    Path(picture.path).write_bytes(b"other")
    with pytest.raises(DataError, match="was changed meanwhile; run the same command again"):
        read_again(picture)
