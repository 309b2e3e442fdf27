"""Untrusted zip archives, read only in the form that Keras and skops write: no member is larger than the file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
