"""Files whose digest has to be that of the bytes which a library reads.

A library that is given a path opens it by itself, perhaps several times. Between that and the reading for the digest, a
link may be turned or the file replaced. So the library is given a copy that nobody else writes to, and the digest is
that of the copy.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from featstore.errors import FeatstoreError
from featstore.system.files import FileStat, open_regular
from featstore.system.stamps import settle

_BLOCK = 2**20


class FileDigest(NamedTuple):
    """The SHA-256 (hex) of the bytes of a file, and its state while they were read.

    grain: of its time stamps, as `settle` returns it; None also if the file changed meanwhile.
    """

    digest: str
    state: FileStat
    grain: int | None


def hash_file(path: Path, on_block: Callable[[bytes], object] = lambda block: None) -> FileDigest:
    """Return the digest of a regular file; `on_block` gets the bytes that it is of. Raises OSError."""
    file, _ = open_regular(path)
    with file:
        grain = settle(file.fileno())
        state = FileStat.of(os.fstat(file.fileno()))
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
            on_block(block)
        same = FileStat.of(os.fstat(file.fileno())) == state
    return FileDigest(digest.hexdigest(), state, grain if same else None)


@contextmanager
def private_copy(path: Path) -> Iterator[tuple[Path, FileDigest]]:
    """Copy a regular file, under its own name, for the time of the block; return the copy and its digest.

    Raises OSError if the file cannot be read or copied. An error that names the copy is raised with the path instead.
    """
    import tempfile  # 5 ms, and a run with nothing to do copies nothing

    with tempfile.TemporaryDirectory(prefix="featstore-") as folder:
        copy = Path(folder) / path.name
        with copy.open("xb", buffering=0) as file:

            def write(block: bytes) -> None:
                rest = memoryview(block)
                try:
                    while rest:
                        rest = rest[file.write(rest) :]
                except OSError as error:
                    raise OSError(error.errno, f"no copy could be made in {folder}: {error.strerror}") from error

            found = hash_file(path, write)
        try:
            yield copy, found
        except FeatstoreError as error:
            raise type(error)(str(error).replace(str(copy), str(path))) from error
