"""Groups in the names of files: `sm(\\d+)-` puts `sm12-a.jpg` and `sm12-b.jpg` into the group `12`.

Frames of one video and drawings of one artist are alike, so they must stay in one split, and count as less than as many
images. Names often say which belong together where no table does.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace

from featstore.datasets.manifest import Manifest
from featstore.errors import UsageError, param, spelled
from featstore.objects.places import below, tops_of
from featstore.system.member_paths import unpacked_path
from featstore.system.text import count


class GroupPattern:
    """A regular expression whose first group names the unit that a file belongs to; raises UsageError if it is none.

    It is searched in the name of the file, or in the path below DATA if it has a `/`. Of several groups, as in
    `sm(\\d+)-|film_(\\w+)_`, the first one that takes part counts.
    """

    def __init__(self, pattern: str) -> None:
        self.option = param("group_by", pattern)
        example = r"such as 'sm(\d+)-' for sm12-a.jpg, in the group 12"
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{self.option}: is not a regular expression ({error}); expected one {example}") from error
        if not self._pattern.groups:
            raise UsageError(
                f"{self.option}: has no group in round brackets, which names what belongs together; expected a pattern "
                f"{example}"
            )
        self._is_of_paths = "/" in pattern

    def group(self, path: str) -> str | None:
        """Return the group in a path relative to DATA, with `/` between its parts; None if it does not fit."""
        found = self._pattern.search(path if self._is_of_paths else path.rpartition("/")[2])
        return next(filter(None, found.groups()), None) if found else None


def group_by_names(manifest: Manifest, pattern: str) -> Manifest:
    """Return the manifest with the groups that `pattern` finds in the names; how many there are is in its layout.

    An image whose name does not fit is a group of its own, and that is told. Raises UsageError for a pattern that fits
    no name or puts all images into one group, and where the data set has groups already.
    """
    names = GroupPattern(pattern)
    if any(p.group is not None for p in manifest.pictures):
        raise UsageError(f"{names.option}: {manifest.source} has a column of groups already; leave one of them out")
    tops = tops_of(manifest.source)
    groups = [names.group(below(unpacked_path(p.path), *tops)) for p in manifest.pictures]
    sizes = Counter(group for group in groups if group is not None)
    if not sizes:
        raise UsageError(
            f"{names.option}: fits no name of the {count(len(groups), 'image')} of {manifest.source}, such as "
            f"{os.path.basename(unpacked_path(manifest.pictures[0].path))}"
        )
    if len(sizes) == 1 and None not in groups:
        raise UsageError(
            f"{names.option}: puts all {count(len(groups), 'image')} of {manifest.source} into one group, "
            f"{next(iter(sizes))!r}: nothing would be left to measure on"
        )
    pictures = [p._replace(group=group) for p, group in zip(manifest.pictures, groups, strict=True)]
    layout = f"{manifest.layout}, {count(sizes.total(), 'image')} in {count(len(sizes), 'group')} by their names"
    notes = (*manifest.notes, *_notes(names.option, groups, manifest, sizes))
    return replace(manifest, pictures=tuple(pictures), layout=layout, notes=notes)


def _notes(option: str, groups: list[str | None], manifest: Manifest, sizes: Counter[str]) -> list[str]:
    """Return a note on images that are in no group, and one if no two images are together."""
    notes = []
    alone = [p.path for p, group in zip(manifest.pictures, groups, strict=True) if group is None]
    if alone:
        notes.append(f"{count(len(alone), 'image')} in a group of its own, such as {alone[0]}: the name does not fit")
    if max(sizes.values()) == 1:
        notes.append("each group has one image, so nothing is kept together")
    return [spelled(f"{option}: {note}") for note in notes]
