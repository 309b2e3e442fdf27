"""Paths of the members of tars, `photos/train-0000.tar!cats/1.jpg`, and patterns of tars, `train-{0000..0009}.tar`."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from featstore.system.paths import is_url

_MEMBER = re.compile(r"\.tar!", re.IGNORECASE)
BRACES = re.compile(r"\{(\d{1,12})\.\.(\d{1,12})\}|\{([^{}]*,[^{}]*)\}")


class Member(NamedTuple):
    """A file in a tar. tar: the path or URL of the tar. name: as `clean_name` returns it."""

    tar: str
    name: str


def is_pattern(path: str) -> bool:
    """Return whether a path is a pattern that stands for tars. A file or a folder of this very name comes first."""
    is_one = path.lower().endswith(".tar") and BRACES.search(path) is not None
    return is_one and (is_url(path) or not os.path.lexists(path))


def member_path(tar: str, name: str) -> str:
    return f"{tar}!{name}"


def find_member(path: str) -> Member | None:
    """Return what a path names if that is a member of a tar. A file or a folder of this very name comes first."""
    places = [found.end() for found in _MEMBER.finditer(path)] if "!" in path else []
    if not places or (not is_url(path) and os.path.lexists(path)):
        return None
    members = [Member(path[: end - 1], path[end:]) for end in places]
    if len(members) == 1:
        return members[0]
    return next((member for member in members if os.path.isfile(member.tar)), members[0])


def split_path(path: str) -> tuple[str, str]:
    """Return (folder, name) of a file; of a member, the tar with its `!` takes the place of the folder.

    Only the text is looked at: this is asked of a million paths at once.
    """
    if "!" in path and (found := _MEMBER.search(path)):
        return path[: found.end()], path[found.end() :]
    folder, _, name = path.rpartition(os.sep)
    return folder, name


def join_path(folder: str, name: str) -> str:
    """Return the path that `split_path` has split."""
    return folder + name if _MEMBER.fullmatch(folder[-5:]) else os.path.join(folder, name)


def unpacked_path(path: str) -> str:
    """Return the path that a member would have if its tar was unpacked where it lies; other paths as they are.

    What is read from the names of files and folders is read from this one.
    """
    member = find_member(path)
    return path if member is None else os.path.join(os.path.dirname(member.tar), member.name)


def clean_name(written: str) -> str:
    """Return the name of a member without parts that say nothing, as in `./cats//1.jpg`; empty if it leads elsewhere.

    A tar may hold any names; those that begin with a slash or climb with `..` are of files outside of it.
    """
    parts = [part for part in written.split("/") if part not in ("", ".")]
    return "" if written.startswith("/") or ".." in parts or "\0" in written else "/".join(parts)
