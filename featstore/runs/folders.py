"""The folders of runs: a run is built under a temporary name, and gets its own when it is complete.

So a folder with the name of a run is a whole run. What a killed process leaves has a temporary name. It does not count
as a run, and takes no name.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from itertools import count
from pathlib import Path

from featstore.errors import RunError, UsageError, param
from featstore.runs.naming import default_name
from featstore.runs.run import Run
from featstore.system.files import TEMPORARY, make_folders, take_name

_published: ContextVar[list[Run] | None] = ContextVar("_published", default=None)  # of the innermost `publications`
_INTERRUPTED = "-interrupted"  # at the end of the name, so that the same command can give the name to a whole run


def check_root(root: Path) -> None:
    """Raise RunError if no run can be saved below `root`; call it before the expensive work."""
    nearest = next(path for path in (root, *root.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise RunError(f"{nearest}: is not a folder; choose another folder for {param('runs')}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError(f"{nearest}: cannot be written; choose another folder for {param('runs')}")


def check_name(root: Path, name: str | None) -> None:
    """Raise UsageError if the user's `name` cannot be the name of a folder, RunError if it is taken below `root`."""
    if name is None:
        return
    if name != os.path.basename(name) or name.startswith(".") or not name.strip() or "\0" in name:
        raise UsageError(
            f"{param('name', name)}: expected a name without {os.sep} that does not begin with a dot; for the folder "
            f"around it there is {param('runs')}"
        )
    if os.path.lexists(root / name):
        raise RunError(f"{root / name}: there is one already; give another {param('name')}, or remove that folder")


def publish_run(root: Path, name: str | None, build: Callable[[Path], Run]) -> Run:
    """Call `build` on a new folder, and give that the name `root/name`, or `name-2`, `name-3`, ... if that is taken.

    Without a name it gets the default one, and that of an interrupted run says so. Processes that publish at the same
    time get different names. Nothing is left if `build` fails.

    build: writes all files of a run into the folder that it is given, and returns the run.
    """
    temporary = root / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
    try:
        make_folders(temporary)
    except OSError as error:
        raise RunError(
            f"{temporary.parent}: cannot be written: {error.strerror}; choose another folder for {param('runs')}"
        ) from error
    run, folder = None, temporary
    try:
        run = build(temporary)
        names = _names(root, (name or default_name(run)) + (_INTERRUPTED if run.interrupted else ""))
        for folder in names:
            if take_name(temporary, folder):
                break
    finally:
        listed = _published.get()
        if run and listed is not None and not temporary.exists():  # it has its name, whatever happened since
            listed.append(replace(run, folder=folder))
        shutil.rmtree(temporary, ignore_errors=True)
    return replace(run, folder=folder)


@contextmanager
def publications() -> Iterator[list[Run]]:
    """Yield a list of the runs that are published in this block, each from the moment when it has its name.

    An interruption may come between that moment and the return of `publish_run`.
    """
    listed: list[Run] = []
    token = _published.set(listed)
    try:
        yield listed
    finally:
        _published.reset(token)


def run_folders(root: Path) -> list[Path]:
    """Return the folders of the runs below `root`, sorted by name."""
    found = (path.parent for path in root.glob("*/run.json"))
    return sorted(folder for folder in found if not folder.name.startswith(TEMPORARY))


def leftover_folders(root: Path) -> list[Path]:
    """Return the temporary folders below `root`, of processes that build a run or were killed."""
    return sorted(path for path in root.glob(f"{TEMPORARY}*") if path.is_dir())


def _names(root: Path, name: str) -> Iterator[Path]:
    yield root / name
    yield from (root / f"{name}-{number}" for number in count(2))
