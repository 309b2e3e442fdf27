"""Layouts of data sets as people have them: what each draws, and what it must be taken for.

Add a layout here and it is tested: it gives the line of classes and counts, or an error that says what to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way to lay out a data set.

    name: a few words. draw: makes the files below an empty folder and returns DATA. options: the fields of
    `DataOptions`. line: classes and counts as they must be told. notes: a part of each note that must be told, and no
    other note may be. refused: a part of the error, for a layout that must be refused.
    """

    name: str
    draw: Callable[[Path], Path]
    options: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    notes: tuple[str, ...] = ()
    refused: str = ""


def put(root: Path, *folders: str, each: int = 3, name: str = "{}.jpg") -> Path:
    """Make `each` files in each of the folders."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            (root / folder / name.format(number)).write_bytes(f"{folder}/{number}".encode())
    return root


def split_folders(*names: str, classes: tuple[str, ...] = ("cat", "dog")) -> Callable[[Path], Path]:
    """Draw `DATA/<split>/<class>/` with 3, 2 and 1 images of each class."""

    def draw(root: Path) -> Path:
        for name, each in zip(names, (3, 2, 1), strict=False):
            put(root, *(f"{name}/{label}" for label in classes), each=each)
        return root

    return draw


def linked(root: Path) -> Path:
    """Draw a class folder, and another that is a link to a folder elsewhere."""
    put(root, "data/cat", "data/fox", "store/dog")
    (root / "data/dog").symlink_to(root / "store/dog")
    return root / "data"


def hub(root: Path) -> Path:
    """Draw class folders of links to files elsewhere, as in a snapshot of a hub."""
    put(root, "store")
    for label in ("cat", "dog"):
        (root / "data" / label).mkdir(parents=True)
        for number in range(3):
            (root / "data" / label / f"{number}.jpg").symlink_to(root / "store" / f"{number}.jpg")
    return root / "data"


def circle(root: Path) -> Path:
    """Draw class folders with links to folders that they lie in."""
    put(root, "data/cat", "data/dog")
    (root / "data/cat/up").symlink_to(root / "data")
    (root / "data/dog/out").symlink_to(root)
    return root / "data"


TWO = "2 classes: cat 3, dog 3"
THREE_SPLITS = "2 classes: cat 3/2/1, dog 3/2/1 (train/val/test)"
TWO_SPLITS = "2 classes: cat 3/2, dog 3/2 (train/test)"
NO_TEST = "no test split"

FOLDERS = [
    Layout(name="class folders", draw=lambda root: put(root, "cat", "dog"), line=TWO),
    Layout(
        name="class folders with folders",
        draw=lambda root: put(root, "cat", "cat/more", "dog"),
        line="2 classes: cat 6, dog 3",
    ),
    Layout(
        name="numbers for labels",
        draw=lambda root: put(root, "10", "9", "1", "2"),
        line="4 classes: 1 3, 2 3, 9 3, 10 3",
    ),
    Layout(name="one folder per image of a class", draw=lambda root: put(root, "cat/images", "dog/images"), line=TWO),
    *(
        Layout(name=f"splits named {' '.join(names)}", draw=split_folders(*names), line=THREE_SPLITS)
        for names in [
            ("train", "val", "test"),
            ("training_set", "validation_set", "test_set"),
            ("seg_train", "seg_val", "seg_test"),
            ("Train_Data", "Val_Data", "Test_Data"),
            ("TRAIN", "VALID", "TEST"),
            ("training", "dev", "testing"),
            ("train", "eval", "holdout"),
            ("trainset", "devset", "testset"),
            ("train images", "valid images", "test images"),
            ("trainval", "dev", "hold-out"),
            ("train2017", "val2017", "test2017"),
            ("birds_train", "birds_val", "birds_test"),
            ("train", "val", "eval"),
        ]
    ),
    Layout(name="training_set and test_set", draw=split_folders("training_set", "test_set"), line=TWO_SPLITS),
    Layout(
        name="train and dev",
        draw=split_folders("train", "dev"),
        line="2 classes: cat 3/2, dog 3/2 (train/val)",
        notes=(NO_TEST,),
    ),
    Layout(
        name="splits with a folder of the same name in each",
        draw=split_folders("seg_train/seg_train", "seg_test/seg_test"),
        line=TWO_SPLITS,
    ),
    Layout(
        name="splits in class folders",
        draw=lambda root: put(root, "cat/train", "cat/test", "dog/train", "dog/test"),
        line="2 classes: cat 3/3, dog 3/3 (train/test)",
    ),
    Layout(
        name="a test split without labels",
        draw=lambda root: put(put(root, "train/cat", "train/dog"), "test", each=5),
        line="2 classes: cat 3, dog 3 (train); without labels: 5 test",
        notes=(NO_TEST,),
    ),
    Layout(
        name="a test split without labels and with a stray folder",
        draw=lambda root: put(put(put(root, "train/cat", "train/dog"), "test", each=30), "test/stray", "test/other"),
        line="2 classes: cat 3, dog 3 (train); without labels: 36 test",
        notes=(NO_TEST,),
    ),
    Layout(
        name="a split that is not known",
        draw=lambda root: put(split_folders("train", "val", "test")(root), "final/cat", "final/dog"),
        line=THREE_SPLITS,
        notes=("the folder final next to train is not used (6 files): it holds class folders",),
    ),
    Layout(
        name="a folder next to the splits",
        draw=lambda root: put(split_folders("train", "val", "test")(root), "samples"),
        line=THREE_SPLITS,
        notes=("the folder samples next to train is not used (3 files)",),
    ),
    Layout(
        name="two folders of one split",
        draw=lambda root: put(split_folders("train", "val", "test")(root), "valid/cat", "valid/dog"),
        refused="'val', 'valid' all name the split val; keep one",
    ),
    Layout(
        name="a class that is called train",
        draw=lambda root: put(root, "bus", "car", "train"),
        line="3 classes: bus 3, car 3, train 3",
        notes=("the folder train is taken for a class",),
    ),
    Layout(
        name="a class called train with folders in it",
        draw=lambda root: put(root, "bus", "car", "train/steam", "train/diesel"),
        refused="rename 'train' if it is a class",
    ),
    Layout(
        name="a test folder among classes",
        draw=lambda root: put(root, "cat", "dog", "test"),
        refused="move the classes into train",
    ),
    Layout(
        name="splits whose names say nothing",
        draw=split_folders("part one", "part two"),
        refused="look like splits: rename them to train, val and test",
    ),
    Layout(
        name="splits whose names say nothing, next to other folders",
        draw=lambda root: put(split_folders("one", "two")(root), "papers/a", "papers/b"),
        refused="the folders one, two hold the same class folders (cat, dog)",
    ),
    Layout(
        name="classes with the same folders in each, by a pattern",
        draw=lambda root: put(root, "cat/inside", "cat/outside", "dog/inside", "dog/outside"),
        options={"label_from": "{label}/*/*"},
        line="2 classes: cat 6, dog 6",
    ),
    Layout(
        name="class folders that hold only folders",
        draw=lambda root: put(root, "animals/cat", "animals/dog", "things/x"),
        line="2 classes: animals 6, things 3",
        notes=("class folders that hold only folders: animals (cat, dog)",),
    ),
    Layout(
        name="one level too high",
        draw=lambda root: put(root, "dataset/cat", "dataset/dog"),
        line=TWO,
        notes=("holds only the folder dataset, which is taken as the data set",),
    ),
    Layout(
        name="two levels too high",
        draw=lambda root: split_folders("archive/data/train", "archive/data/test")(root),
        line=TWO_SPLITS,
        notes=(f"holds only the folder {os.path.join('archive', 'data')}",),
    ),
    Layout(
        name="one level too low",
        draw=lambda root: put(root, "photos/cat", "photos/dog") / "photos" / "cat",
        refused="no labels found",
    ),
    Layout(
        name="a split instead of the data set",
        draw=lambda root: split_folders("train", "val", "test")(root) / "train",
        line=TWO,
        notes=("holds other splits next to train: test, val",),
    ),
    Layout(
        name="a single class",
        draw=lambda root: put(root, "cat"),
        refused="only the class 'cat' was found",
    ),
    Layout(
        name="photos with a stray folder",
        draw=lambda root: put(put(root, ".", each=30), "stray"),
        refused="no labels found",
    ),
    Layout(
        name="an empty class folder",
        draw=lambda root: put(put(root, "cat", "dog"), "fox", each=0),
        line=TWO,
        notes=("no file in the class folder fox",),
    ),
    Layout(
        name="a class of one image",
        draw=lambda root: put(put(root, "cat", "dog"), "fox", each=1),
        line="3 classes: cat 3, dog 3, fox 1",
        notes=("only one image of the class fox",),
    ),
    Layout(
        name="very unequal classes",
        draw=lambda root: put(put(root, "cat", each=30), "dog"),
        line="2 classes: cat 30, dog 3",
        notes=("very unequal classes: 30 images of cat, 3 of dog",),
    ),
    Layout(
        name="a class that a split lacks",
        draw=lambda root: put(put(root, "train/cat", "train/dog", "train/fox"), "test/cat", "test/dog"),
        line="3 classes: cat 3/3, dog 3/3, fox 3/0 (train/test)",
        notes=("no image of the class fox in the split test",),
    ),
    Layout(
        name="a misspelled class in a split",
        draw=lambda root: put(root, "train/cat", "train/dog", "test/cat", "test/dgo"),
        refused="'dgo' is not in the training split, which has cat, dog; did you mean 'dog'?",
    ),
    Layout(
        name="a class of another case in a split",
        draw=lambda root: put(root, "train/cat", "train/dog", "test/Cat"),
        refused="did you mean 'cat'?",
    ),
    Layout(
        name="classes that differ in case",
        draw=lambda root: put(root, "cat", "Cat ", "dog"),
        line="3 classes: Cat 3, cat 3, dog 3",
        notes=("'Cat' and 'cat' differ only in case",),
    ),
    Layout(
        name="class folders that differ in Unicode form",
        draw=lambda root: put(root, "caf\u00e9", "cafe\u0301", "dog"),
        line="2 classes: caf\u00e9 6, dog 3",
        notes=("differ only in blanks or Unicode form",),
    ),
    Layout(
        name="images and masks",
        draw=lambda root: put(root, "images", "masks"),
        refused="are not classes but parts of a data set",
    ),
    Layout(
        name="some images in no class folder",
        draw=lambda root: put(put(root, "cat", "dog"), ".", each=1),
        line=TWO,
        notes=("1 image directly in",),
    ),
    Layout(
        name="an archive with labels in the names",
        draw=lambda root: put(put(put(root, "train", name="cat.{}.jpg"), "train", name="dog.{}.jpg"), "test1"),
        options={"label_from": "{label}.*"},
        line="2 classes: cat 3, dog 3 (train); without labels: 3 test",
        notes=(NO_TEST,),
    ),
    Layout(
        name="an archive with labels in the names, as it is",
        draw=lambda root: put(put(put(root, "train", name="cat.{}.jpg"), "train", name="dog.{}.jpg"), "test1"),
        refused="label_from='{label}.#' would read the labels cat, dog",
    ),
    Layout(
        name="photos with labels in their names",
        draw=lambda root: put(put(root, ".", name="great_dane_{}.jpg"), ".", name="pug_{}.jpg"),
        refused="label_from='{label}_#' would read the labels great_dane, pug",
    ),
    Layout(
        name="one class instead of the data set, with numbers for names",
        draw=lambda root: put(root, "photos/cat", "photos/dog", name="00{}.jpg") / "photos" / "cat",
        refused="did you mean ",
    ),
    Layout(
        name="a pattern that fits in two ways",
        draw=lambda root: put(put(root, ".", name="great_dane_{}.jpg"), ".", name="pug_{}.jpg"),
        options={"label_from": "{label}_*"},
        refused="fits in two ways, with the label 'great' or 'great_dane'",
    ),
    Layout(
        name="a pattern that some files do not fit",
        draw=lambda root: put(put(put(root, ".", name="cat.{}.jpg"), ".", name="dog.{}.jpg"), ".", each=1),
        options={"label_from": "{label}.*"},
        line="2 classes: cat 3, dog 3; without labels: 1",
        notes=("1 file without a label, such as", "1 image without a label"),
    ),
    Layout(
        name="a pattern without a label",
        draw=lambda root: put(root, "cat"),
        options={"label_from": "cat.*"},
        refused="expected a pattern with one {label} in it",
    ),
    Layout(
        name="a class that is a link",
        draw=linked,
        line="2 classes: cat 3, fox 3",
        notes=("dog in", "1 link out of the data set is left out"),
    ),
    Layout(
        name="a class that is a link, followed",
        draw=linked,
        options={"follow_links": True},
        line="3 classes: cat 3, dog 3, fox 3",
    ),
    Layout(name="links to files", draw=hub, refused="follow_links=True reads them"),
    Layout(name="links to files, followed", draw=hub, options={"follow_links": True}, line=TWO),
    Layout(name="links in a circle", draw=circle, options={"follow_links": True}, line=TWO),
    Layout(name="an empty folder", draw=lambda root: root, refused="no image files found"),
    Layout(
        name="an archive that was not unpacked",
        draw=lambda root: (root / "photos.zip").write_bytes(b"PK") and root,
        refused="left out, as they are not images: 1 .zip",
    ),
]
