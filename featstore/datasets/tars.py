"""Data sets in tars: one, a folder of them, or a pattern of names; on a disk or on object storage.

A tar is read as if it was unpacked where it lies, and one whose name says a split as if in a folder of that name. So
every layout of folders is found in tars. Where files in them give labels, as in WebDataset, those count instead.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile

from featstore.datasets.file_names import has_image_name
from featstore.datasets.folders import scan_folder
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.member_walk import MemberWalk, PackedFile
from featstore.datasets.options import DataOptions
from featstore.datasets.samples import read_samples
from featstore.datasets.split_names import splits_named
from featstore.datasets.tar_files import open_tar
from featstore.datasets.tar_index import TarIndex
from featstore.datasets.tar_members import index_of
from featstore.datasets.tar_names import expand_pattern, is_tar_name, splits_of_tars
from featstore.datasets.walk import Walk
from featstore.errors import DataError
from featstore.objects.places import below
from featstore.system.imports import collection_paused
from featstore.system.member_paths import is_pattern, member_path
from featstore.system.paths import is_url
from featstore.system.text import count, listed

_REQUESTS = 8  # at once, where each is waited for


@dataclass(frozen=True)
class Tars:
    """The tars that DATA names.

    source: as it was given. folders: path of each tar -> the folder below the data set that its files are in, as if it
    was unpacked; empty for the data set itself. skipped: tars that are not read, with the reasons.
    """

    source: str
    folders: dict[str, str]
    skipped: tuple[Skipped, ...] = ()


def named_tars(source: str) -> Tars | None:
    """Return the tar or the tars that a path or a pattern names; None if it names something else.

    Raises DataError for a pattern of tars of which some are missing.
    """
    if not is_tar_name(source) or (not is_url(source) and os.path.isdir(source)):
        return None
    if is_pattern(source):
        return _of_pattern(source)
    return Tars(source, {source: ""}) if is_url(source) or os.path.exists(source) else None


def tars_below(source: str, walk: Walk) -> Tars | None:
    """Return the tars below a folder over which `walk` has not gone yet; None if it has none, or has images."""
    if any(has_image_name(path) for path, _ in walk.files(source)):
        return None
    paths = [path for path in walk.others() if is_tar_name(path)]
    if not paths:
        return None
    inside = [os.path.dirname(below(path, source)) for path in paths]
    splits = splits_of_tars(source, paths, one_is_enough=True)
    folders = {path: _join(*parts) for path, *parts in zip(paths, splits, inside, strict=True)}
    return Tars(source, folders, tuple(walk.skipped))


def _of_pattern(pattern: str) -> Tars:
    paths = expand_pattern(pattern)
    missing = [] if is_url(pattern) else [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise DataError(
            f"{pattern}: {len(missing):,} of {count(len(paths), 'tar')} missing, such as {missing[0]}: name those that "
            "are there"
        )
    splits = splits_of_tars(pattern, paths, one_is_enough=False)
    parents = [path.split("/")[:-1] for path in paths]
    shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, zip(*parents, strict=False)))
    folders = ("/".join(parent[shared:]) for parent in parents)
    return Tars(pattern, {path: _join(*parts) for path, *parts in zip(paths, splits, folders, strict=True)})


@collection_paused()
def scan_tars(tars: Tars, options: DataOptions) -> Manifest:
    """Return the manifest of what is in tars; raises DataError if one is not there, or the only one is none."""
    options.refuse_but(("label_from", "group_by", "follow_links"), tars.source, "in tars and not a table")
    indexes = _Indexes(tars)
    if options.label_from is None and indexes.give_labels:
        manifest = _scan_samples(tars, options, indexes)
    else:
        walk = MemberWalk(tars.source, indexes.files())
        manifest = scan_folder(tars.source, options, walk)
        manifest = replace(manifest, layout=f"{manifest.layout} in {count(len(tars.folders), 'tar')}")
    skipped = (*manifest.skipped, *tars.skipped, *indexes.skipped)
    return replace(manifest, skipped=skipped, notes=(*manifest.notes, *indexes.notes()))


def list_tars(tars: Tars) -> Manifest:
    """Return the manifest of all pictures in tars, without labels; raises DataError as `scan_tars` does."""
    indexes = _Indexes(tars)
    if indexes.give_labels:
        manifest = _scan_samples(tars, DataOptions(), indexes)
        pictures = [picture._replace(label=None, split=None) for picture in manifest.pictures]
        found, notes = manifest.skipped, manifest.notes
    else:
        walk = MemberWalk(tars.source, indexes.files())
        pictures = [Picture(path, state) for path, state in walk.files(tars.source)]
        found, notes = tuple(walk.skipped), tuple(walk.notes())
    skipped = (*found, *tars.skipped, *indexes.skipped)
    return Manifest(tars.source, tuple(pictures), skipped, notes=(*notes, *indexes.notes()))


class _Indexes:
    """The indexes of tars, one at a time: together they may be larger than the memory.

    give_labels: whether files in one of them do.
    """

    def __init__(self, tars: Tars) -> None:
        self._tars = tars
        self._paths: list[str] = []
        self._damaged: list[Skipped] = []
        self.skipped: list[Skipped] = []
        self.give_labels = False
        from concurrent.futures import ThreadPoolExecutor

        paths = list(tars.folders)
        with ThreadPoolExecutor(_REQUESTS if is_url(paths[0]) else 1, "featstore-tars") as pool:
            for path, index in zip(paths, pool.map(self._look, paths), strict=True):
                if isinstance(index, Skipped):
                    self.skipped.append(index)
                    self._damaged.append(index)
                    continue
                self._paths.append(path)
                self.skipped += index.skipped
                self._damaged += [item for item in index.skipped if item.path == path]
                self.give_labels |= bool(index.labels)

    def __iter__(self) -> Iterator[tuple[str, str, TarIndex]]:
        """Yield path, folder (see `Tars`) and index of each tar."""
        for path in self._paths:
            with _named(path):
                yield path, self._tars.folders[path], index_of(open_tar(path))

    def files(self) -> Iterator[PackedFile]:
        for path, folder, index in self:
            for name in sorted(index):
                yield PackedFile(_join(folder, name), member_path(path, name), index.file_state(index.find(name)))

    def notes(self) -> list[str]:
        """Return a line on tars of which not all is used."""
        if not self._damaged:
            return []
        path, reason = self._damaged[0]
        return [f"{count(len(self._damaged), 'tar')} cannot be read to the end, such as {path}: {reason}"]

    def _look(self, path: str) -> TarIndex | Skipped:
        """Return the index of a tar, or why it is none; an object is asked for the state that it has now."""
        with _named(path):
            tar = open_tar(path, renew=True)
            try:
                return index_of(tar)
            except DataError as error:
                if len(self._tars.folders) == 1:
                    raise
                return Skipped(path, str(error).removeprefix(f"{path}: "))


@contextmanager
def _named(tar: str) -> Iterator[None]:
    """Turn an OSError into a DataError: that a tar cannot be read says nothing about what is in it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{tar}: cannot be read: {error.strerror}") from error


def _scan_samples(tars: Tars, options: DataOptions, indexes: _Indexes) -> Manifest:
    pictures: list[tuple[str, Picture]] = []  # each with the first folder that it is in, as that may say a split
    skipped: list[Skipped] = []
    alone: list[str] = []
    others: Counter[str] = Counter()
    for tar, folder, index in indexes:
        samples = read_samples(tar, index)
        for name, label in samples.found:
            top, slash, _ = _join(folder, name).partition("/")
            picture = Picture(member_path(tar, name), index.file_state(index.find(name)), label)
            pictures.append((top if slash else "", picture))
        skipped += samples.skipped
        alone += (member_path(tar, name) for name in samples.alone)
        others += samples.others
    tops = {top for top, _ in pictures}
    splits = splits_named(sorted(tops))
    if len(splits) == len(tops):
        found = tuple(picture._replace(split=splits[top]) for top, picture in pictures)
        layout = f"samples with labels in {count(len(tars.folders), 'tar')}, in splits"
    else:
        found = tuple(picture for _, picture in pictures)
        layout = f"samples with labels in {count(len(tars.folders), 'tar')}"
    notes = []
    if alone:
        notes.append(f"{count(len(alone), 'label')} without an image, such as {alone[0]}")
    if others:
        endings = listed([f"{number} {ending}" for ending, number in others.most_common()])
        notes.append(f"left out, as they are neither images nor labels: {endings}")
    return Manifest(tars.source, found, tuple(skipped), options, layout, tuple(notes))


def _join(*parts: str) -> str:
    return "/".join(filter(None, parts))
