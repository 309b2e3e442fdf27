"""Where the files are that a table names: as written, spelled a little differently, or below another folder.

A name may lack its ending or differ in case; it is completed where only one file fits. If no file at all is where the
table says, the folder from which all are found is taken, if there is just one.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from featstore.datasets.file_names import has_image_name
from featstore.datasets.states import States
from featstore.errors import DataError, param
from featstore.objects.places import folder_of, join, normal
from featstore.system.paths import is_url
from featstore.system.text import count

_MOST_FILES = 500_000  # looked at to find the folder of the images
_TRIED = 20  # names from which folders are proposed


class Located(NamedTuple):
    """The path of each file, or where it should be if it is missing, and what was decided."""

    paths: list[str]
    notes: list[str]


class _Below(NamedTuple):
    """A folder below the one of the table, and how many folders at the start of each name it stands for."""

    folder: str
    dropped: int


def locate(names: Sequence[str], base: str, source: str, states: States) -> Located:
    """Return the files that `names` stand for, relative to the folder `base`; `states` are asked for them.

    Raises DataError if none of them is there, or if a name without its ending fits several files.
    """
    listing = _Listing(source, states)
    found = listing.find_all(base, names)
    if any(found) or not names:
        paths = [path or join(base, name) for path, name in zip(found, names, strict=True)]
        return Located(paths, _note_spelling(names, paths, base, states) + _note_missing(found, names))
    below = _Index(base, states)
    place = _common_folder(names, base, listing, below, source)
    if place is not None:
        found = listing.find_all(join(base, place.folder), [_drop(name, place.dropped) for name in names])
        where = normal(join(base, place.folder))
    else:
        found = [below.only(name) for name in names]
        where = f"folders below {base or '.'}"
        if not all(found):
            found = [None] * len(names)
    if not any(found):
        raise DataError(
            f"{source}: {len(names):,} of {len(names):,} files are missing, such as {names[0]}; paths are relative to "
            f"{base or '.'}: give the folder of the images with {param('image_folder')}"
        )
    paths = [path or join(base, name) for path, name in zip(found, names, strict=True)]
    return Located(paths, [f"the files of the table are found in {where}", *_note_missing(found, names)])


def _common_folder(names: Sequence[str], base: str, listing: _Listing, index: _Index, source: str) -> _Below | None:
    """Return the folder in which the files are; raises DataError where that is not certain."""
    proposed: Counter[_Below] = Counter()
    for name in names[:_TRIED]:
        proposed.update(set(index.places(name)))
    scores = {}
    for place, _ in proposed.most_common(_TRIED):
        fitting = listing.find_all(join(base, place.folder), [_drop(name, place.dropped) for name in names])
        # Different files count: below a folder too deep, `cat/1.jpg` and `dog/1.jpg` would be one.
        scores[place] = len({*fitting} - {None})
    best = sorted(scores, key=lambda place: (-scores[place], place))
    if not best or (scores[best[0]] < len(names) and all(index.only(name) for name in names)):
        return None
    equal = [place for place in best if scores[place] == scores[best[0]]]
    if len(equal) > 1 or scores[best[0]] < 0.9 * len(names):
        folders = " and below ".join(normal(join(base, place.folder)) for place in equal[:2])
        raise DataError(
            f"{source}: {len(names):,} of {len(names):,} files are missing, such as {names[0]}; {scores[best[0]]:,} "
            f"would exist below {folders}: give the folder of the images with {param('image_folder')}"
        )
    return best[0]


def _drop(name: str, folders: int) -> str:
    return "/".join(_parts(name)[folders:])


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _slashed(name: str) -> str:
    return name.strip().replace("\\", "/")


def _note_spelling(names: Sequence[str], paths: Sequence[str], base: str, states: States) -> list[str]:
    changed = [
        (name, path)
        for name, path in zip(names, paths, strict=True)
        if normal(join(base, _slashed(name))) != normal(path) and states.exists(path)
    ]
    if not changed:
        return []
    name, path = changed[0]
    return [f"{count(len(changed), 'name')} of the table completed or found in another case: {name} is {path}"]


def _note_missing(found: Sequence[str | None], names: Sequence[str]) -> list[str]:
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    return [f"{len(missing):,} of {len(names):,} files are missing, such as {missing[0]}"] if missing else []


class _Listing:
    """Files by name in each folder, listed once."""

    def __init__(self, source: str, states: States) -> None:
        self._source = source
        self._states = states
        self._folders: dict[str, dict[str, list[str]]] = {}

    def find_all(self, base: str, names: Sequence[str]) -> list[str | None]:
        """Return the files that `names` stand for in `base`, None for those that are not there.

        Raises DataError if several fit a name as well.
        """
        self._states.look_up(join(base, name) for name in names)
        return [self._find(base, name) for name in names]

    def _find(self, base: str, name: str) -> str | None:
        for written in dict.fromkeys((name, name.strip(), _slashed(name))):
            path = join(base, written)
            if written and self._states.exists(path):
                return path
        place = join(base, _slashed(name))
        folder, last = folder_of(place), os.path.basename(place)
        fitting = self._names(folder).get(last.casefold(), []) if last else []
        if len(fitting) > 1:
            raise DataError(
                f"{self._source}: {name} may be {fitting[0]} or {fitting[1]} in {folder}: write the whole name"
            )
        return join(folder, fitting[0]) if fitting else None

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Return the names of the files in a folder, by themselves in lower case and, of images, without ending."""
        if folder not in self._folders:
            names: dict[str, list[str]] = defaultdict(list)
            for name in self._states.names(folder):
                keys = {name.casefold()}
                if has_image_name(name):
                    keys.add(name.rpartition(".")[0].casefold())
                for key in keys:
                    names[key].append(name)
            self._folders[folder] = names
        return self._folders[folder]


class _Index:
    """All files below a folder, by name and, of images, by name without ending."""

    def __init__(self, base: str, states: States) -> None:
        self._base = base
        self._files: dict[str, list[list[str]]] = defaultdict(list)
        if not is_url(base) and os.path.realpath(base) in (os.sep, os.path.realpath(os.path.expanduser("~"))):
            return  # nobody wants the whole disk to be searched for a file that is missing
        for folder, names in states.walk(base, _MOST_FILES):
            inside = _parts(folder)
            for name in names:
                for key in {name.casefold(), name.rpartition(".")[0].casefold() if has_image_name(name) else name}:
                    self._files[key].append([*inside, name])

    def places(self, name: str) -> Iterator[_Below]:
        """Yield the folders that, put before `name` or its end, make the path of a file."""
        parts = _parts(name)
        for path in self._matches(name):
            same = 1
            while same < min(len(parts), len(path)) and parts[-same - 1].casefold() == path[-same - 1].casefold():
                same += 1
            yield _Below("/".join(path[:-same]), len(parts) - same)

    def only(self, name: str) -> str | None:
        """Return the path below the folder of the only file with this name; None if there are several or none."""
        matches = self._matches(name)
        return join(self._base, *matches[0]) if len(matches) == 1 else None

    def _matches(self, name: str) -> list[list[str]]:
        parts = _parts(name)
        return self._files.get(parts[-1].casefold(), []) if parts else []
