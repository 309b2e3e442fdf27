"""Tars for tests, on disk and in a bucket that counts what it is asked."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featstore.objects.bucket import Found
from featstore.objects.state import object_state
from featstore.system.files import FileStat

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


class CountingBucket:
    """A bucket in memory. asked: what it was asked, and for how many bytes."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = objects or {}
        self.asked: list[tuple[str, int]] = []

    def list_all(self, prefix: str) -> Iterator[Found]:
        self.asked.append(("list", 0))
        for path in sorted(self.objects):
            if path.startswith(f"{prefix}/" if prefix else ""):
                yield Found(path, self._state(path))

    def list_folder(self, prefix: str) -> tuple[list[str], list[Found]]:
        found = list(self.list_all(prefix))
        inside = [(item, item.path[len(prefix) :].lstrip("/")) for item in found]
        folders = sorted({name.partition("/")[0] for _, name in inside if "/" in name})
        return folders, [item for item, name in inside if "/" not in name]

    def head(self, path: str) -> FileStat:
        self.asked.append(("head", 0))
        return self._state(path)

    def get(self, path: str) -> tuple[bytes, FileStat]:
        self.asked.append(("get", len(self.objects[path])))
        return self.objects[path], self._state(path)

    def get_range(self, path: str, start: int, length: int) -> bytes:
        self.asked.append(("range", length))
        if path not in self.objects:
            raise FileNotFoundError(2, "no such object")
        return self.objects[path][start : start + length]

    def _state(self, path: str) -> FileStat:
        if path not in self.objects:
            raise FileNotFoundError(2, "no such object")
        data = self.objects[path]
        return object_state(len(data), datetime(2026, 1, 1, tzinfo=UTC), str(hash(data)))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not asked of a bucket of images")
