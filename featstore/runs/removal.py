"""The removal of runs: only what a run has in its folder, and nothing through a link."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from featstore.errors import RunError
from featstore.runs.files import IMAGES
from featstore.runs.run import FORMAT
from featstore.system.files import read_regular

RECORD = "run.json"
_HEADS = ("head.npz", "head.keras", "head.skops", "head.zip", "trained.keras")
_PICTURES = ("curve.png", "reliability.png", "network.png", "network.svg")
FILES = (*_HEADS, *_PICTURES, "curve.csv", IMAGES, RECORD)  # the record is removed last


class Removal(NamedTuple):
    """What is removed with a run, or would be.

    Attributes:
        folder: Folder of the run.
        files: Names of its files, in the order of their removal.
        bytes: Their size.
        strange: Names of what else is in the folder, which stays, and the folder with it.
    """

    folder: Path
    files: tuple[str, ...]
    bytes: int
    strange: tuple[str, ...]


def plan_removal(folder: Path) -> Removal:
    """Return what is to be removed with the run in `folder`.

    Any folder with the record of a run counts, of whatever version and even if its head is lost. Raises RunError for
    anything else, and for a link: what it leads to has another name.
    """
    with _opened(folder) as descriptor:
        states = {name: os.lstat(name, dir_fd=descriptor) for name in sorted(os.listdir(descriptor))}
    if not _is_record(folder / RECORD):
        raise RunError(f"{folder}: is not a run (it has no {RECORD} of one), so nothing in it is removed")
    files = tuple(name for name in FILES if name in states and stat.S_ISREG(states[name].st_mode))
    size = sum(states[name].st_size for name in files)
    return Removal(folder, files, size, tuple(name for name in states if name not in files))


def remove(planned: Removal) -> None:
    """Remove the files of a run, and its folder if that is then empty; raises RunError.

    The record is the last to go: what an interruption leaves is still a run to this module, and can be removed.
    """
    try:
        with _opened(planned.folder) as descriptor:
            for name in planned.files:
                os.unlink(name, dir_fd=descriptor)
        if not planned.strange:
            os.rmdir(planned.folder)
    except OSError as error:
        raise RunError(f"{planned.folder}: cannot be removed: {error.strerror}: {error.filename}") from error


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Open a folder that is not a link; what is done through the descriptor stays within this very folder."""
    try:
        descriptor = os.open(os.path.normpath(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        found = "is a link: name the folder itself" if folder.is_symlink() else f"is not a folder: {error.strerror}"
        raise RunError(f"{folder}: {found}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_record(file: Path) -> bool:
    try:
        content = json.loads(read_regular(file)[0])
    except (OSError, ValueError, RecursionError):
        return False
    return not file.is_symlink() and isinstance(content, dict) and content.get("format") == FORMAT
