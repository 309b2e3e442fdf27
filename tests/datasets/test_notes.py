"""Notes on data: leaks, contradictions, and what a data set lacks."""

from __future__ import annotations

import hashlib

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.notes import leak_notes, remarks
from featstore.datasets.summary import summarize
from featstore.system.files import FileStat


def picture(name: str, label: str | None, split: str | None = None, bytes_of: str | None = None) -> Picture:
    digest = hashlib.sha256((bytes_of or name).encode()).hexdigest()
    return Picture(f"d/{name}", FileStat(1, 1, 1, 1), label, split, None, digest)


def manifest(*pictures: Picture) -> Manifest:
    return Manifest("d", pictures)


def balanced(*splits: str | None, each: int = 2) -> list[Picture]:
    return [
        picture(f"{split}-{label}-{n}", label, split)
        for split in splits
        for label in ("cat", "dog")
        for n in range(each)
    ]


def test_nothing_to_say_of_a_sound_data_set() -> None:
    """No note is noise."""
    assert summarize(manifest(*balanced("train", "val", "test"))).notes == ()
    assert summarize(manifest(*balanced(None))).notes == ()


def test_copies_over_splits() -> None:
    """Of training images, and of validation images among the test images."""
    copies = [picture("a", "cat", "train"), picture("b", "cat", "test", "a")]
    [note] = leak_notes(manifest(*balanced("train", "val", "test"), *copies))
    assert note.startswith("1 held-out image is byte for byte in the training split too, such as d/b and d/a: ")
    copies = [picture("a", "cat", "val"), picture("b", "cat", "test", "a")]
    [note] = leak_notes(manifest(*balanced("train", "val", "test"), *copies))
    assert note.startswith("1 test image is byte for byte in the validation split too, such as d/b and d/a: ")


def test_copies_without_labels_are_measured_on_nothing() -> None:
    """There is no accuracy that they make too high."""
    copies = [picture("a", "cat", "train"), picture("b", None, "test", "a")]
    assert leak_notes(manifest(*balanced("train", "val"), *copies)) == ()


def test_one_image_under_two_labels() -> None:
    """In one split or in several; found once the images have been read."""
    both = [picture("a", "cat"), picture("b", "dog", None, "a"), picture("c", "dog", None, "a")]
    [note] = remarks(manifest(*balanced(None), *both))
    assert note == (
        "1 image is there under more than one label, such as d/a (cat) and d/b (dog), byte for byte the same: no head "
        "can be right on both"
    )
    unread = [p._replace(known_digest=None) for p in (*balanced(None), *both)]
    assert remarks(manifest(*unread)) == ()


def test_labels_that_differ_in_nothing_that_matters() -> None:
    """Case, blanks, `-` and `_`, and the writing of a number."""
    for one, other in (("cat", "Cat"), ("big cat", "big_cat"), ("1", "1.0"), ("01", "1")):
        pictures = [picture(f"{label}-{n}", label) for label in (one, other, "dog") for n in range(2)]
        [note] = remarks(manifest(*pictures))
        assert f"{one!r}" in note and f"{other!r}" in note
        assert "differ only in case, blanks or the writing of a number" in note
    assert remarks(manifest(*(picture(f"{label}-{n}", label) for label in ("1", "10", "nan") for n in range(2)))) == ()


def test_what_a_data_set_lacks() -> None:
    """A line for each kind, with the classes by name."""
    lacking = [*balanced("train", "val", each=2), picture("fox", "fox", "train")]
    assert remarks(manifest(*lacking)) == (
        "only one image of the class fox: it can be trained on or measured, not both",
        "no image of the class fox in the split val",
        "no test split: figures on the validation split are too good for what was chosen by it",
    )
    unequal = [*(picture(f"a{n}", "cat") for n in range(20)), *(picture(f"b{n}", "dog") for n in range(2))]
    [note] = remarks(manifest(*unequal))
    assert note.startswith("very unequal classes: 20 images of cat, 2 of dog; ")
    [note] = remarks(manifest(*balanced("train", "test"), picture("x", None, "train")))
    assert note == "1 image without a label, such as d/x: not used"


def test_a_line_for_many_classes_is_short() -> None:
    """Sums by split, and the smallest and the largest class."""
    pictures = [
        picture(f"{n}-{i}-{split}", f"class{n}", split)
        for n in range(40)
        for split, each in (("train", 5 + n), ("test", 2))
        for i in range(each)
    ]
    assert summarize(manifest(*pictures)).line() == (
        "40 classes: 980/80 images, from 7 of class0 to 46 of class39 (train/test)"
    )
