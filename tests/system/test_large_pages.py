"""Large files in memory: the same bytes as any other way of reading them."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from featstore.system.large_pages import read_large


@pytest.mark.parametrize("size", [0, 1, 2**22 - 1, 2**22, 2**22 + 4097])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    """Below and above the size from which on it lies in large pages, and whatever becomes of the file."""
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "file").write_bytes(content)
    found = read_large(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"")
    assert found[:] == content
    assert isinstance(found, mmap.mmap) == (size >= 2**22 and hasattr(mmap, "MADV_HUGEPAGE"))


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    """A folder has no bytes."""
    with pytest.raises(OSError, match="directory|regular"):
        read_large(tmp_path)
