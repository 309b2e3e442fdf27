"""Where a file of weights or of a network may be that is not where it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from featstore.bases.file_kinds import ARCHIVE_ENDING, HDF5_ENDINGS

WEIGHTS_VARIABLE = "FEATSTORE_WEIGHTS"  # a folder, or several as in PATH


def keras_models() -> Path:
    """Return the folder in which Keras keeps the files that it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def files_like(path: Path, beside: Path) -> list[Path]:
    """Return the files that may be the one that was at `path`, those of its name first.

    They are next to it where that folder is, in the folder `beside` and the one that it is in, in the folders of
    $FEATSTORE_WEIGHTS, and in that of Keras. Folders below these are not searched.
    """
    found = dict.fromkeys(file for folder in _folders(path, beside) for file in _files_in(folder))
    alike = [file for file in found if _kind(file) == _kind(path)]
    return sorted(alike, key=lambda file: file.name != path.name)  # stable: else in the order of the folders


def describe_places() -> str:
    """Return where `files_like` looks, as text."""
    named = os.environ.get(WEIGHTS_VARIABLE) or "not set"
    return f"next to the run, in ${WEIGHTS_VARIABLE} ({named}) or in {keras_models()}"


def _folders(path: Path, beside: Path) -> list[Path]:
    named = filter(None, os.environ.get(WEIGHTS_VARIABLE, "").split(os.pathsep))
    return [path.parent, beside, beside.parent, *map(Path, named), keras_models()]


def _files_in(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (file.absolute() for file in sorted(folder.iterdir()) if _kind(file) and file.is_file())


def _kind(file: Path) -> str:
    """Return what a file holds by its name: an archive, or HDF5; empty for any other."""
    return "hdf5" if file.suffix in HDF5_ENDINGS else "archive" if file.suffix == ARCHIVE_ENDING else ""
