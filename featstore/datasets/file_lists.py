"""Data sets that are lists of files and folders without labels, as those to predict."""

from __future__ import annotations

from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.options import DataOptions
from featstore.datasets.states import States
from featstore.datasets.walks import walk_over
from featstore.objects.places import kind_of, places
from featstore.system.paths import OneOrMorePaths, is_url, refuse_whole_disk


def list_images(paths: OneOrMorePaths, options: DataOptions | None) -> Manifest:
    """Return the manifest of `list_files`; raises UsageError for options that would do nothing."""
    if options:
        options.refuse_but(("follow_links",), "images", "neither a table nor read for labels")
    return list_files(paths, options)


def list_files(paths: OneOrMorePaths, options: DataOptions | None = None) -> Manifest:
    """Return a manifest without labels of files, in the given order, and of all files below folders, sorted.

    Raises UsageError for anything but paths and URLs, and for a folder that is the whole disk or a home folder.
    """
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    notes: list[str] = []
    named = places(paths, "images")
    states = States()
    states.look_up(named)
    for place in named:
        if _is_folder(place, states):
            refuse_whole_disk(place)
            walk = walk_over(place, options or DataOptions())
            pictures += (Picture(file, info) for file, info in walk.files(place))
            skipped += walk.skipped
            notes += walk.notes()
        elif (info := states.of(place)) is not None:
            pictures.append(Picture(place, info))
        skipped += states.skipped
        states.skipped.clear()
    return Manifest(named[0] if named else "", tuple(pictures), tuple(skipped), notes=tuple(notes))


def _is_folder(place: str, states: States) -> bool:
    """Return whether a place is a folder. Of a URL that is asked only where no object has it: there may be many."""
    return not (is_url(place) and states.exists(place)) and kind_of(place) == "folder"
