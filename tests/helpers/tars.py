"""Tars for tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from featstore.datasets import tar_files, tar_members

Files = Mapping[str, bytes] | Sequence[tuple[str, bytes]]


def tar_bytes(files: Files, format: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of files by name, in this order; a name may come twice."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as tar:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return packed.getvalue()


def write_tar(path: Path, files: Files, format: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_bytes(files, format))
    return path


def pack(folder: Path, tar: Path, prefix: str = "") -> Path:
    """Write the files below a folder into a tar, with `prefix` before their names, in no order that means anything."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True)
    return write_tar(tar, {f"{prefix}{path.relative_to(folder)}": path.read_bytes() for path in files})


def forget_tars() -> None:
    """Forget all that this process knows of tars, as a new one knows nothing."""
    for known in (tar_files._on_disk, tar_files._objects, tar_members._indexes):
        known.clear()  # type: ignore[attr-defined]
