"""Time stamps of files: from when on every change of the content shows in them.

Two changes within the grain of a clock have one stamp. Bytes that are written through a memory map move the stamps only
once, with the first write to a clean page, and then no more until that page is written back. On tmpfs a map never moves
them. So before a file is read whose digest is to be remembered by its stamps, its dirty pages are written back.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

LOCAL_NS = 2_000_000_000  # the grain of FAT; that of others is at most a few ms
FOREIGN_NS = 600_000_000_000  # another machine's clock may differ by as much: Kerberos allows half of it
_TMPFS, _RAMFS, _HUGETLBFS = 0x01021994, 0x858458F6, 0x958458F6
_EXT, _XFS, _BTRFS, _F2FS, _BCACHEFS = 0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0xCA451A4E
_FAT, _EXFAT, _NTFS3 = 0x4D44, 0x2011BAB0, 0x7366746E
_SQUASHFS, _EROFS, _ISO9660 = 0x73717368, 0xE0F5E1E2, 0x9660
_OVERLAY = 0x794C7630
_UNSTAMPED = {_TMPFS, _RAMFS, _HUGETLBFS}
_LOCAL = {_EXT, _XFS, _BTRFS, _F2FS, _BCACHEFS, _FAT, _EXFAT, _NTFS3, _SQUASHFS, _EROFS, _ISO9660}
_WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER


def settle(descriptor: int) -> int | None:
    """Write the dirty pages of an open file back; return the grain of its stamps in ns, None if they cannot be trusted.

    What is changed later than that after its stamps shows in new ones.
    """
    if sys.platform != "linux":
        return LOCAL_NS
    try:
        kind = _file_system(descriptor)
        if kind in _UNSTAMPED:
            return None
        if kind in _LOCAL:
            _check(_libc().sync_file_range(descriptor, 0, 0, _WRITE_AND_WAIT))
        else:
            os.fdatasync(descriptor)  # takes 100 times as long, but on overlay the call above does nothing
    except (OSError, ImportError, AttributeError):  # the latter two: a Python or a C library without these functions
        return None
    return LOCAL_NS if kind in (*_LOCAL, _OVERLAY) else FOREIGN_NS


def _file_system(descriptor: int) -> int:
    """Return the magic number of the file system, as in `man 2 statfs`; raises OSError."""
    import ctypes

    result = (ctypes.c_long * 64)()  # longer than the struct, which begins with the number
    _check(_libc().fstatfs(descriptor, result))
    return int(result[0]) & 0xFFFFFFFF


def _check(status: int) -> None:
    """Raise OSError if a call of the C library failed."""
    if status != 0:
        raise OSError("the file cannot be settled")


@cache
def _libc() -> Any:
    import ctypes

    libc = ctypes.CDLL(None)
    libc.sync_file_range.argtypes = ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
    return libc
