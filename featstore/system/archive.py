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
    """Yield the archive if its members are uncompressed, have distinct names, and are not larger than the file.

    Raises zipfile.BadZipFile for any other archive, FileNotFoundError, and the errors of zipfile.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        is_compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if is_compressed or sum(member.file_size for member in members) > path.stat().st_size:
            raise zipfile.BadZipFile("its members are compressed, or larger than the file")
        if len(set(archive.namelist())) < len(members):
            raise zipfile.BadZipFile("two of its members have the same name")
        yield archive


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a `.npz` by name. Raises ValueError if one does not hold numbers, and as `open_archive`.

    `numpy.load` would allocate what a header claims before it reads the data.
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
