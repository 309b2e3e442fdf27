"""Paths as `run.json` keeps them: hints where the data, the weights and the cache of a run were.

They stay right when all of them move together, and they name nobody's home folder. A path that shares a folder with the
run is written relative to the run's folder; any other in full, with `~` for the home folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from featstore.objects.urls import Location, is_url


def to_hint(path: str | Location, folder: Path) -> str:
    """Return what stands for `path` in the run in `folder`; a URL stands for itself."""
    if is_url(str(path)):
        return str(path)
    target, base = os.path.abspath(str(path)), os.path.realpath(folder)
    not_theirs = (os.sep, os.path.dirname(_home()))  # what all share, and the folder of all homes
    if os.path.commonpath([target, base]) in not_theirs:
        return without_home(target)
    return os.path.relpath(target, base)


def from_hint(hint: str, folder: Path) -> str:
    """Return the absolute path that `hint` stands for in the run in `folder`, whether it exists or not; or the URL."""
    if is_url(hint):
        return hint
    return os.path.normpath(os.path.join(os.path.realpath(folder), os.path.expanduser(hint)))


def without_home(path: str) -> str:
    """Return `path` with `~` for the home folder, if it is in there."""
    inside = os.path.join(_home(), "")
    return os.path.join("~", path.removeprefix(inside)) if path.startswith(inside) else path


def _home() -> str:
    return os.path.expanduser("~")
