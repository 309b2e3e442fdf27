"""Bytes to disk: whole or not at all, at every operation that can fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from featstore.errors import StoreError
from featstore.files import write_whole

CALLS = ["open", "write", "posix_fallocate", "fsync", "replace", "close"]


def fail_nth(monkeypatch: pytest.MonkeyPatch, call: str, nth: int, error: BaseException) -> list[int]:
    """Makes the nth call of os.<call> raise; the count of calls comes back."""
    real, count = getattr(os, call), [0]

    def faulty(*arguments: object, **options: object) -> object:
        count[0] += 1
        if count[0] == nth:
            if call == "close":
                real(*arguments)
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, faulty)
    return count


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_failing_call_leaves_the_old_or_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, nth: int
) -> None:
    """Whatever fails: one line with a remedy, no temporary file, and old or new content, never a mixture."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        count = fail_nth(patch, call, nth, OSError(number, os.strerror(number)))
        if nth > 1:
            try:
                write_whole(target, b"new" * 1000)
            except StoreError:
                pass
        else:
            with pytest.raises(StoreError, match="cannot be written") as caught:
                write_whole(target, b"new" * 1000)
            assert "\n" not in str(caught.value)
        assert count[0]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert target.read_bytes() in (b"old", b"new" * 1000)


def test_ctrl_c_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption in the middle passes on, and the old content stays."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        fail_nth(patch, "write", 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_whole(target, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert target.read_bytes() == b"old"


def test_the_order_is_write_sync_rename_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are on disk before the name, and the name before the call returns."""
    log: list[str] = []
    for call in ("write", "fsync", "replace"):
        real = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, _real=real, _call=call: (log.append(_call), _real(*a))[1])
    write_whole(tmp_path / "x", b"data")
    assert log == ["write", "fsync", "replace", "fsync"]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it is given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    write_whole(tmp_path / "x", bytes(range(256)))
    assert (tmp_path / "x").read_bytes() == bytes(range(256))


def test_file_systems_without_locks_or_allocation_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says that it is not supported is passed over."""

    def unsupported(*arguments: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    write_whole(tmp_path / "deep" / "x", b"data")
    assert (tmp_path / "deep" / "x").read_bytes() == b"data"
