"""Untrusted zip archives, in the form that Keras, skops and numpy write: no member is larger than the file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the archive, if its members are not compressed, named once, and together no larger than the file.

    Raises zipfile.BadZipFile for any other archive, FileNotFoundError, and what zipfile raises.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        is_compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if is_compressed or sum(member.file_size for member in members) > path.stat().st_size:
            raise zipfile.BadZipFile("it would be larger unpacked than it is")
        if len(set(archive.namelist())) < len(members):
            raise zipfile.BadZipFile("a file in it is there twice")
        yield archive


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a `.npz` by name. Raises ValueError for arrays not of numbers, and as `open_archive`.

    `numpy.load` would take as much memory as a header asks for before it looks at what follows.
    """
    import numpy as np

    arrays = {}
    with open_archive(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                if np.lib.format.read_magic(member) != (1, 0):
                    raise ValueError(f"{name}: not an array as numpy.savez writes it")
                shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member)
                if dtype.kind not in "fiu":
                    raise ValueError(f"{name}: holds {dtype}, not numbers")
                array = np.frombuffer(member.read(), dtype).reshape(shape, order="F" if is_fortran else "C")
            arrays[name.removesuffix(".npy")] = array
    return arrays
