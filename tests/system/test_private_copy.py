"""Copies for libraries that are given a path: their bytes are those of the digest, whatever happens to the file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from featstore.errors import RunError
from featstore.system import private_copy as module
from featstore.system.files import FileStat, NotRegularFile
from featstore.system.private_copy import hash_file, private_copy


def test_the_copy_has_the_bytes_of_the_digest(tmp_path: Path) -> None:
    """Also after the file was replaced and a link turned; it has the name of the link, and is gone afterwards."""
    one, link = tmp_path / "one", tmp_path / "weights.h5"
    one.write_bytes(b"one" * 10**6)
    link.symlink_to(one)
    with private_copy(link) as (copy, found):
        link.unlink()
        link.write_bytes(b"two")
        assert copy.name == "weights.h5"
        assert copy.read_bytes() == b"one" * 10**6
        assert found.digest == hashlib.sha256(b"one" * 10**6).hexdigest()
        assert found.state == FileStat.of(one.stat())
    assert not copy.exists()
    assert not copy.parent.exists()


def test_a_file_that_changes_meanwhile_has_no_grain(tmp_path: Path) -> None:
    """Its digest is that of the bytes that were read, which may be those of no state of it."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3 * module._BLOCK)
    seen: list[bytes] = []

    def change(block: bytes) -> None:
        seen.append(block)
        os.utime(path, ns=(0, len(seen)))

    found = hash_file(path, change)
    assert found.grain is None
    assert found.digest == hashlib.sha256(b"".join(seen)).hexdigest()


def test_an_error_names_the_file_and_not_its_copy(tmp_path: Path) -> None:
    """Its kind stays."""
    path = tmp_path / "head.npz"
    path.write_bytes(b"x")
    with pytest.raises(RunError) as caught, private_copy(path) as (copy, _):
        raise RunError(f"{copy}: cannot be read")
    assert str(caught.value) == f"{path}: cannot be read"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe would be."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularFile), private_copy(tmp_path / "pipe"):
        pass


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the temporary folder, not of the file."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    (tmp_path / "a").write_bytes(b"x")
    real = Path.open

    def full(self: Path, mode: str, buffering: int = -1) -> Any:
        return real(Path("/dev/full") if mode == "xb" else self, mode.replace("x", "w"), buffering)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="no copy could be made in .*featstore-.*: No space left"):  # noqa: SIM117
        with private_copy(tmp_path / "a"):
            pass
