"""Data sets that are folders: which layout a folder has, and its images with their labels and splits.

    DATA/train/<class>/, DATA/val/<class>/, DATA/test/<class>/   splits with class folders, names as in `split_names`
    DATA/<class>/                                                class folders, to be split
    DATA/<class>/{train,val,test}/                               class folders with splits in them
    DATA/*.jpg                                                   images without labels
    DATA/only-one-folder/...                                     one of these, a level deeper

`test` may have images without labels. With `label_from` the labels are in the names of the files, and only splits are
read from folders. Names say what is a split; where they do not, folders that hold the same class folders are refused:
they may be splits or classes. What was decided is in the manifest's `layout` and `notes`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import chain

from featstore.datasets.labels import clean_label, fold_label, in_natural_order
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.name_labels import NamePattern, propose_pattern
from featstore.datasets.options import DataOptions
from featstore.datasets.split_names import split_named, splits_named
from featstore.datasets.walk import LINK_OUT, Walk
from featstore.errors import DataError, param, spelled
from featstore.system.text import count, listed

_PARTS_OF_A_SET = {"images", "image", "imgs", "labels", "annotations", "masks", "mask", "bboxes"}


def scan_folder(source: str, options: DataOptions) -> Manifest:
    """Return the manifest of a folder; raises DataError where it may mean one thing or another."""
    reader = _Reader(source, options)
    if options.label_from is None:
        reader.read()
    else:
        reader.read_names(NamePattern(options.label_from))
    return reader.manifest()


class _Reader:
    """One reading of a folder: the images, and what is worth knowing about them."""

    def __init__(self, source: str, options: DataOptions) -> None:
        self._source = source
        self._options = options
        self._walk = Walk(os.path.realpath(source), options)
        self._pictures: list[Picture] = []
        self._notes: list[str] = []
        self._lost: list[str] = []
        self._layout = ""
        self._hint = ""

    def manifest(self) -> Manifest:
        out = [item.path for item in self._walk.skipped if item.reason == LINK_OUT]
        if out:
            self._notes.append(
                spelled(
                    f"{count(len(out), 'link')} out of the data set {'is' if len(out) == 1 else 'are'} left out, such "
                    f"as {out[0]}: {param('follow_links', True)} reads them"
                )
            )
        pictures, skipped, notes = tuple(self._pictures), tuple(self._walk.skipped), (*self._notes, *self._walk.notes())
        return Manifest(
            self._source,
            pictures,
            skipped,
            self._options,
            layout=self._layout,
            notes=notes,
            lost=in_natural_order(self._lost),
            hint=self._hint,
        )

    def read(self) -> None:
        top = self._descend(self._source)
        names = self._walk.folders(top)
        splits = splits_named(names)
        others = [name for name in names if name not in splits]
        self._note_other_splits(top)
        if splits and others:
            splits = self._decide_between(top, splits, others)
        if splits:
            self._read_splits(top, splits)
        elif not names or self._are_mostly_here(top, names):
            self._read_unlabelled(top)
        elif inner := self._splits_inside(top, names):
            self._read_classes_with_splits(top, names, inner)
        else:
            self._refuse_unnamed_splits(top, names)
            self._layout = "class folders"
            self._read_classes(top, None)
        self._note_links(top)

    def read_names(self, pattern: NamePattern) -> None:
        """Read labels from names of files; images that do not fit have none."""
        top = self._descend(self._source)
        splits = splits_named(self._walk.folders(top))
        self._layout = f"labels from names like {pattern.pattern}" + (", split folders" if splits else "")
        unfit: list[str] = []
        for folder, split in splits.items() or [("", None)]:
            for path, info in self._walk.files(os.path.join(top, folder)):
                label = pattern.label(os.path.relpath(path, self._source))
                unfit += [path] if label is None and split != "test" else []
                self._pictures.append(Picture(path, info, label, split))
        if splits:
            self._note_unused(top, [name for name in self._walk.folders(top) if name not in splits], splits)
        if unfit:
            self._notes.append(
                spelled(
                    f"{count(len(unfit), 'file')} without a label, such as {unfit[0]}: the name does not fit "
                    f"{param('label_from', pattern.pattern)}"
                )
            )

    def _descend(self, top: str) -> str:
        """Return the folder that holds the data set or split: the only one in `top`, if that has several in it.

        A folder named like a split is a split, but not within one: `seg_train/seg_train/<class>/`.
        """
        path = top
        while True:
            names = self._walk.folders(path)
            is_split = bool(splits_named(names)) and top == self._source
            if len(names) != 1 or is_split or self._walk.has_images(path):
                break
            path = os.path.join(path, names[0])
        if path == top or not names:  # a chain that ends in images is a class in folders
            return top
        if top == self._source:
            self._notes.append(
                f"{top} holds only the folder {os.path.relpath(path, top)}, which is taken as the data set"
            )
        return path

    # -- splits ----------------------------------------------------------------------------------------------------

    def _decide_between(self, top: str, splits: dict[str, str], others: list[str]) -> dict[str, str]:
        """Return the splits among folders of which only some have the name of one; none if all are classes."""
        named = next(iter(splits))
        if "train" not in splits.values():
            raise DataError(
                f"{top}: {named!r} names a split, but {others[0]!r} does not, and a train folder is missing: move the "
                "classes into train, or rename the folder if it is a class"
            )
        holding = [name for name in others if self._walk.has_images(os.path.join(top, name))]
        if len(splits) == 1 and holding:
            if self._walk.has_images(os.path.join(top, named)):
                self._notes.append(
                    f"the folder {named} is taken for a class, since {listed(holding)} next to it are classes"
                )
                return {}
            if len(holding) > 1:
                raise DataError(
                    f"{top}: {named!r} names a split, but {listed(holding)} next to it hold images like classes: move "
                    f"them elsewhere, or rename {named!r} if it is a class"
                )
        self._note_unused(top, others, splits)
        return splits

    def _note_unused(self, top: str, others: Sequence[str], splits: dict[str, str]) -> None:
        """Tell of folders next to splits that are not used, and of those that look like one more split."""
        named = next((name for name, split in splits.items() if split == "train"), next(iter(splits)))
        known = set(chain.from_iterable(self._walk.folders(os.path.join(top, name)) for name in splits))
        for name in others:
            path = os.path.join(top, name)
            self._walk.skipped.append(Skipped(path, "folder next to train is not val or test"))
            files = sum(1 for _ in Walk(os.path.realpath(path), self._options).files(path))
            same = known.intersection(self._walk.folders(path))
            remedy = ": it holds class folders, so rename it to val or test if it is a split" if same else ""
            self._notes.append(f"the folder {name} next to {named} is not used ({count(files, 'file')}){remedy}")

    def _read_splits(self, top: str, splits: dict[str, str]) -> None:
        self._layout = "split folders"
        folders: dict[str, list[str]] = defaultdict(list)
        for name, split in splits.items():
            folders[split].append(name)
        for split, names in folders.items():
            if len(names) > 1:
                raise DataError(
                    f"{top}: {listed(list(map(repr, names)))} all name the split {split}; keep one, or join them"
                )
        tops = {split: self._descend(os.path.join(top, names[0])) for split, names in folders.items()}
        train = self._labels_below(tops["train"]) if "train" in tops else {}
        for split, path in tops.items():
            self._read_split(path, split, set(train))
        self._walk.skip_files(top, "not in a split folder")

    def _read_split(self, top: str, split: str, trained: set[str]) -> None:
        """Read one split; `trained` are the labels of the training split, none without one."""
        labels = self._labels_below(top)
        unknown = [label for label in labels if label not in trained]
        folded = {fold_label(label): label for label in trained}
        if split == "test" and (
            self._are_mostly_here(top, self._walk.folders(top))
            or (
                len(labels) < 2 and unknown == list(labels) and not any(fold_label(label) in folded for label in labels)
            )
        ):
            self._pictures += (Picture(path, info, None, split) for path, info in self._walk.files(top))
            return
        if not labels or self._are_mostly_here(top, self._walk.folders(top)):
            self._refuse_without_classes(top)
        if trained and unknown:
            near = folded.get(fold_label(unknown[0])) or next(iter(get_close_matches(unknown[0], trained, 1)), None)
            remedy = f"did you mean {near!r}? Rename the folder" if near else "rename or move the folder"
            raise DataError(
                f"{top}: class {unknown[0]!r} is not in the training split, which has "
                f"{listed(in_natural_order(trained))}; {remedy}"
            )
        self._read_classes(top, split)
        self._note_links(top)

    def _refuse_without_classes(self, top: str) -> None:
        names = [os.path.basename(path) for path, _ in self._walk.files(top)]
        proposed = propose_pattern(names)
        raise DataError(
            f"{top}: no class folders; expected {top}/<class>/ with the images of each class"
            + (f"; {proposed}" if proposed else "")
        )

    def _splits_inside(self, top: str, names: Sequence[str]) -> dict[str, str]:
        """Return the splits in class folders, `DATA/<class>/train/`, by their names; none if there are others."""
        inner = {name: self._walk.folders(os.path.join(top, name)) for name in names}
        found = splits_named(sorted(set(chain.from_iterable(inner.values()))))
        each = all(
            below and all(name in found and not self._walk.folders(os.path.join(top, label, name)) for name in below)
            for label, below in inner.items()
        )
        return found if each and len(names) > 1 and "train" in found.values() else {}

    # -- classes ---------------------------------------------------------------------------------------------------

    def _labels_below(self, top: str) -> dict[str, list[str]]:
        """Return the folders of each label; several if their names differ in blanks around or in Unicode form."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in self._walk.folders(top):
            folders[clean_label(name) or name].append(name)
        return dict(folders)

    def _read_classes(self, top: str, split: str | None) -> None:
        empty: list[str] = []
        nested: list[str] = []
        for label, folders in self._labels_below(top).items():
            before = len(self._pictures)
            for folder in folders:
                path = os.path.join(top, folder)
                self._pictures += (Picture(file, info, label, split) for file, info in self._walk.files(path))
                below = self._walk.folders(path)
                if len(below) > 1 and not self._walk.has_images(path):
                    nested.append(f"{folder} ({listed(below)})")
            empty += [label] if len(self._pictures) == before else []
            if len(folders) > 1:
                self._notes.append(
                    f"the folders {' and '.join(map(repr, folders))} in {top} differ only in blanks or Unicode form, "
                    "and are taken as one class"
                )
        self._lost += empty
        if empty:
            self._notes.append(f"no file in the class folder {listed(empty)} of {top}: not taken as a class there")
        if nested:
            self._notes.append(
                f"class folders that hold only folders: {listed(nested)}; all images below one are of one class"
            )
        before = len(self._walk.skipped)
        images = self._walk.images(top)
        self._walk.skip_files(top, "not in a class folder")
        if images and len(self._walk.skipped) > before:
            self._notes.append(f"{count(images, 'image')} directly in {top}, in no class folder: not used")

    def _read_classes_with_splits(self, top: str, names: Sequence[str], splits: dict[str, str]) -> None:
        self._layout = "class folders with split folders in them"
        for name in names:
            for inner in self._walk.folders(os.path.join(top, name)):
                files = self._walk.files(os.path.join(top, name, inner))
                label = clean_label(name) or name
                self._pictures += (Picture(path, info, label, splits[inner]) for path, info in files)
            self._walk.skip_files(os.path.join(top, name), "not in a split folder")
        self._walk.skip_files(top, "not in a class folder")

    def _refuse_unnamed_splits(self, top: str, names: Sequence[str]) -> None:
        """Refuse folders side by side that hold the same class folders, and parts of a set for other purposes."""
        if len(names) > 1 and all(name.lower() in _PARTS_OF_A_SET for name in names):
            raise DataError(
                f"{top}: the folders {listed(names)} are not classes but parts of a data set; expected {top}/<class>/, "
                "or a CSV with the columns path and label"
            )
        below = {
            name: set(folders)
            for name in names
            if (folders := self._walk.folders(os.path.join(top, name)))
            and not self._walk.has_images(os.path.join(top, name))
        }
        shared = in_natural_order(set.intersection(*below.values())) if len(below) > 1 else ()
        if len(shared) > 1:
            raise DataError(
                f"{top}: the folders {listed(list(below))} hold the same class folders ({listed(shared)}), so they "
                f"look like splits: rename them to train, val and test; if they are classes, give "
                f"{param('label_from', '{label}/*/*')}"
            )

    def _note_other_splits(self, top: str) -> None:
        """Tell of further splits next to a training split; a test split alone is for an evaluation."""
        parent, name = os.path.split(os.path.abspath(top))
        if split_named(name) != "train":
            return
        try:
            others = [other for other in splits_named(Walk(parent, self._options).folders(parent)) if other != name]
        except DataError:
            return
        if others:
            self._notes.append(
                f"{parent} holds other splits next to {name}: {listed(others)}; give {parent} to use them"
            )

    # -- images without labels -------------------------------------------------------------------------------------

    def _are_mostly_here(self, top: str, names: Sequence[str]) -> bool:
        """Return whether more images lie directly in `top` than in its folders: then these are not its classes."""
        here = self._walk.images(top)
        if not here:
            return False
        walk = Walk(os.path.realpath(self._source), self._options)
        below = sum(1 for name in names for _ in walk.files(os.path.join(top, name)))
        return here > below

    def _read_unlabelled(self, top: str) -> None:
        self._layout = "images without labels"
        self._pictures += (Picture(path, info) for path, info in self._walk.files(top))
        names = [os.path.basename(picture.path) for picture in self._pictures]
        self._hint = propose_pattern(names) or self._hint_at_parent()

    def _hint_at_parent(self) -> str:
        """Return the folder that was probably meant if this one looks like one class of it."""
        parent = os.path.dirname(os.path.abspath(self._source))
        try:
            walk = Walk(parent, self._options)
            siblings = [name for name in walk.folders(parent) if walk.has_images(os.path.join(parent, name))]
        except DataError:
            return ""
        return f"did you mean {os.path.dirname(self._source) or parent}?" if 2 <= len(siblings) <= 1000 else ""

    def _note_links(self, top: str) -> None:
        if lost := self._walk.links_out(top):
            self._lost += lost
            self._notes.append(
                spelled(
                    f"{listed(lost)} in {top}: links to folders outside of the data set, so their classes or splits "
                    f"are missing; {param('follow_links', True)} reads them"
                )
            )
