"""Data sets that are lists of files and folders without labels, as those to predict."""

from __future__ import annotations

from featstore.datasets.file_names import has_image_name
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.options import DataOptions
from featstore.datasets.states import States
from featstore.datasets.tars import list_tars, named_tars, tars_below
from featstore.datasets.walks import walk_over
from featstore.objects.places import kind_of, places
from featstore.system.paths import OneOrMorePaths, is_url, refuse_whole_disk


def list_images(paths: OneOrMorePaths, options: DataOptions | None) -> Manifest:
    """Return the manifest of `list_files`; raises UsageError for options that would do nothing."""
    if options:
        options.refuse_but(("follow_links",), "images", "neither a table nor read for labels")
    return list_files(paths, options)


def list_files(paths: OneOrMorePaths, options: DataOptions | None = None) -> Manifest:
    """Return a manifest without labels of files, in the given order, and of all below folders and in tars, sorted.

    Raises UsageError for anything but paths and URLs, and for a folder that is the whole disk or a home folder.
    """
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    notes: list[str] = []
    named = places(paths, "images")
    states = States()
    states.look_up(named)
    for place in named:
        if (tars := named_tars(place)) or _is_folder(place, states):
            below = list_tars(tars) if tars else _list_folder(place, options or DataOptions())
            pictures += below.pictures
            skipped += below.skipped
            notes += below.notes
        elif (info := states.of(place)) is not None:
            pictures.append(Picture(place, info))
        skipped += states.skipped
        states.skipped.clear()
    return Manifest(named[0] if named else "", tuple(pictures), tuple(skipped), notes=tuple(notes))


def _list_folder(folder: str, options: DataOptions) -> Manifest:
    refuse_whole_disk(folder)
    walk = walk_over(folder, options)
    pictures = tuple(Picture(file, info) for file, info in walk.files(folder))
    has_images = any(has_image_name(picture.path) for picture in pictures)
    if not has_images and (tars := tars_below(folder, walk.fresh(folder))):
        return list_tars(tars)
    return Manifest(folder, pictures, tuple(walk.skipped), notes=tuple(walk.notes()))


def _is_folder(place: str, states: States) -> bool:
    """Return whether a place is a folder. Of a URL that is asked only where nothing says it: there may be many."""
    if not is_url(place):
        return kind_of(place) == "folder"
    if states.exists(place):
        return False
    listed = states.objects.listed(place)
    return kind_of(place) == "folder" if listed is None else bool(listed.files or listed.folders)
