"""Time stamps: once a file is settled, every change shows in them, also one through a map; or they are not trusted."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from featstore.system import stamps
from featstore.system.files import FileStat
from featstore.system.stamps import FOREIGN_NS, LOCAL_NS, settle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these calls")

TICK = 0.02  # seconds: longer than the grain of ext4's clock


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def mapped(tmp_path: Path) -> Iterator[tuple[Path, mmap.mmap]]:
    """A file and a map of it whose page is dirty."""
    path = tmp_path / "a.bmp"
    path.write_bytes(bytes(100))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[0] = 1
        time.sleep(TICK)
        yield path, pages


def on_disk(path: Path) -> bool:
    with opened(path) as descriptor:
        return settle(descriptor) == LOCAL_NS


def test_a_write_through_a_map_moves_the_stamps_of_a_settled_file(mapped: tuple[Path, mmap.mmap]) -> None:
    """Without, it does not: this is why."""
    path, pages = mapped
    before = FileStat.of(path.stat())
    pages[0] = 2
    assert FileStat.of(path.stat()) == before
    if not on_disk(path):
        pytest.skip("the temporary folder is on a file system whose stamps are not trusted")
    before = FileStat.of(path.stat())
    time.sleep(TICK)
    pages[0] = 3
    assert FileStat.of(path.stat()) != before


def test_stamps_on_tmpfs_are_not_trusted() -> None:
    """A map never moves them there."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        pytest.skip("there is no tmpfs")
    with tempfile.NamedTemporaryFile(dir=shared) as file:
        assert settle(file.fileno()) is None


@pytest.mark.parametrize(
    ("kind", "grain", "synced"),
    [
        (stamps._EXT, LOCAL_NS, False),
        (stamps._OVERLAY, LOCAL_NS, True),
        (0x6969, FOREIGN_NS, True),  # NFS
        (0x65735546, FOREIGN_NS, True),  # FUSE
        (stamps._RAMFS, None, False),
    ],
)
def test_the_file_system_decides(
    kind: int, grain: int | None, synced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How the pages are written back, and how far its clock may be from ours."""
    (tmp_path / "a").touch()
    calls: list[int] = []
    monkeypatch.setattr(stamps, "_file_system", lambda descriptor: kind)
    monkeypatch.setattr(os, "fdatasync", calls.append)
    with opened(tmp_path / "a") as descriptor:
        assert settle(descriptor) == grain
        assert calls == [descriptor] * synced


def test_where_pages_cannot_be_written_back_nothing_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk error, a kernel that refuses, a C library or a Python without the functions."""
    (tmp_path / "a").touch()

    class Refusing:
        def sync_file_range(self, *arguments: Any) -> int:
            return -1

        def fstatfs(self, descriptor: int, result: Any) -> int:
            result[0] = stamps._XFS
            return 0

    def missing() -> Any:
        raise ImportError("no module named _ctypes")

    with opened(tmp_path / "a") as descriptor:
        monkeypatch.setattr(stamps, "_libc", Refusing)
        assert settle(descriptor) is None
        monkeypatch.setattr(stamps, "_libc", object)
        assert settle(descriptor) is None
        monkeypatch.setattr(stamps, "_libc", missing)
        assert settle(descriptor) is None
        monkeypatch.setattr(stamps, "_libc", lambda: ctypes.CDLL(None))
        assert settle(-1) is None


OVERLAY = """
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged || exit 77
exec {python} -c '
import mmap, os, time
from featstore.system.stamps import LOCAL_NS, settle
with open("merged/a", "w+b") as file:
    file.write(bytes(100))
    file.flush()
    pages = mmap.mmap(file.fileno(), 0)
    pages[0] = 1
    assert settle(file.fileno()) == LOCAL_NS
    before = os.stat("merged/a").st_mtime_ns
    time.sleep(0.02)
    pages[0] = 2
    assert os.stat("merged/a").st_mtime_ns != before
'
"""


def test_overlay_file_systems_of_containers(tmp_path: Path) -> None:
    """The cheaper call does nothing there, and says that it has."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    if not on_disk_folder(tmp_path):
        pytest.skip("the temporary folder is on a file system whose stamps are not trusted")
    script = OVERLAY.format(python=sys.executable)
    try:
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no overlay may be mounted here")
    assert done.returncode == 0, done.stderr


def on_disk_folder(folder: Path) -> bool:
    (folder / "probe").touch()
    return on_disk(folder / "probe")
