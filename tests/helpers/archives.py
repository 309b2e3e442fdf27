"""Zip archives with changed members."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path


def repacked(source: Path, target: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """A copy of a zip archive, its members changed, stored like those of the original."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target
