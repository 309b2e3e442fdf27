"""The states of files that are named one by one, on disk or in object storage, and why some are not used."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from featstore.datasets.manifest import Skipped
from featstore.datasets.tar_members import member_state
from featstore.errors import DataError, StoreError
from featstore.objects.bucket import ObjectError
from featstore.objects.known import KnownObjects
from featstore.system.files import FileStat
from featstore.system.member_paths import Member, find_member
from featstore.system.paths import is_url


class States:
    """The states of files, and those that are left out, as `Walk` has them."""

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.objects = KnownObjects()

    def look_up(self, paths: Iterable[str]) -> None:
        """Ask for all that are objects at once; raises StoreError where object storage does not tell of one."""
        try:
            self.objects.look_up(path for path in paths if is_url(path) and not find_member(path))
        except OSError as error:
            raise _unanswered(error) from error

    def exists(self, path: str) -> bool:
        """Return whether there is a file, or a link that leads nowhere."""
        if member := find_member(path):
            return isinstance(state_of_member(member), FileStat)
        return isinstance(self.objects.state(path), FileStat) if is_url(path) else os.path.lexists(path)

    def names(self, folder: str) -> Sequence[str]:
        """Return the names of what is in a folder, sorted; none if it cannot be listed."""
        if is_url(folder):
            found = self.objects.folder(folder)
            return sorted({*found.files, *found.folders})
        try:
            return sorted(os.listdir(folder or "."))
        except OSError:
            return []

    def walk(self, top: str, most: int) -> Iterator[tuple[str, list[str]]]:
        """Yield the folders below `top`, as paths relative to it, with the names of the files in them, sorted.

        It ends after about `most` files.
        """
        if is_url(top):
            for inside, folder in self.objects.folder(top, most).walk():
                if not any(part.startswith(".") for part in inside.split("/")):
                    yield inside, sorted(folder.files)
            return
        seen = 0
        for path, folders, names in os.walk(top or "."):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield os.path.relpath(path, top or "."), sorted(names)
            seen += len(names)
            if seen > most:
                break

    def of(self, path: str) -> FileStat | None:
        """Return the state of a regular file; anything else is added to `skipped`, and None is returned."""
        if member := find_member(path):
            state = state_of_member(member)
        elif not is_url(path):
            state = state_of_file(path)
        elif isinstance(state := self.objects.state(path), str):
            state = f"cannot be opened: {state}"
        if isinstance(state, FileStat):
            return state
        self.skipped.append(Skipped(path, state))
        return None


def state_of_file(path: str) -> FileStat | str:
    """Return the state of a regular file on disk, or why it is not used."""
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: not a valid file name
        return f"cannot be opened: {getattr(error, 'strerror', error)}"
    return FileStat.of(info) if stat.S_ISREG(info.st_mode) else "not a regular file"


def state_of_member(member: Member) -> FileStat | str:
    """Return the state of a file in a tar, or why it is not used."""
    try:
        return member_state(member)
    except DataError as error:
        return str(error)
    except ObjectError as error:
        raise _unanswered(error, member.tar) from error
    except OSError as error:
        return f"cannot be opened: {error.strerror}"


def _unanswered(error: OSError, place: str = "") -> StoreError:
    where = f"{place}: " if place else ""
    return StoreError(f"{where}{error.strerror}; run the same command again once it can be read")
