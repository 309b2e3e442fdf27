"""The reading of one folder: what was found so far, and the questions that every layout asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from featstore.datasets.labels import clean_label, in_natural_order
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.split_names import splits_named
from featstore.datasets.walk import LINK_OUT, Walk
from featstore.errors import param, spelled
from featstore.objects.places import below, join
from featstore.system.text import count, listed


class FolderReading:
    """One reading of a folder: its images, and what is worth knowing about them.

    lost: class folders of which no image is used. hint: what was probably meant, where there are no labels.
    """

    def __init__(self, source: str, options: DataOptions, walk: Walk) -> None:
        self.source = source
        self.options = options
        self.walk = walk
        self.pictures: list[Picture] = []
        self.notes: list[str] = []
        self.lost: list[str] = []
        self.layout = ""
        self.hint = ""

    def manifest(self) -> Manifest:
        """Return what was found, with a note on links that were left out."""
        out = [item.path for item in self.walk.skipped if item.reason == LINK_OUT]
        if out:
            self.notes.append(
                spelled(
                    f"{count(len(out), 'link')} out of the data set {'is' if len(out) == 1 else 'are'} left out, such "
                    f"as {out[0]}: {param('follow_links', True)} reads them"
                )
            )
        pictures, skipped, notes = tuple(self.pictures), tuple(self.walk.skipped), (*self.notes, *self.walk.notes())
        return Manifest(
            self.source,
            pictures,
            skipped,
            self.options,
            layout=self.layout,
            notes=notes,
            lost=in_natural_order(self.lost),
            hint=self.hint,
        )

    def descend(self, top: str) -> str:
        """Return the folder that holds the data set or split: the only one in `top`, if that has several in it.

        A folder named like a split is a split, but not within one: `seg_train/seg_train/<class>/`.
        """
        path = top
        while True:
            names = self.walk.folders(path)
            is_split = bool(splits_named(names)) and top == self.source
            if len(names) != 1 or is_split or self.walk.has_images(path):
                break
            path = join(path, names[0])
        if path == top or not names:  # a chain that ends in images is a class in folders
            return top
        if top == self.source:
            self.notes.append(f"{top} holds only the folder {below(path, top)}, which is taken as the data set")
        return path

    def labels_below(self, top: str) -> dict[str, list[str]]:
        """Return the folders of each label; several if their names differ in blanks around or in Unicode form."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in self.walk.folders(top):
            folders[clean_label(name) or name].append(name)
        return dict(folders)

    def are_mostly_here(self, top: str, names: Sequence[str]) -> bool:
        """Return whether more images lie directly in `top` than in its folders: then these are not its classes."""
        here = self.walk.images(top)
        if not here:
            return False
        walk = self.walk.fresh(self.source)
        below = sum(1 for name in names for _ in walk.files(join(top, name)))
        return here > below

    def note_links(self, top: str) -> None:
        """Tell of folders directly in `top` that are links and not followed: a class or a split is lost."""
        if lost := self.walk.links_out(top):
            self.lost += lost
            self.notes.append(
                spelled(
                    f"{listed(lost)} in {top}: links to folders outside of the data set, so their classes or splits "
                    f"are missing; {param('follow_links', True)} reads them"
                )
            )
