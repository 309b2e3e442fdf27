"""Splits from content digests."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.notes import leak_notes, shared_between_splits
from featstore.datasets.splits import complete_splits, fold_splits
from featstore.datasets.units import unit_names
from featstore.errors import DataError, UsageError
from featstore.system.files import FileStat

STAT = FileStat(1, 1, 1, 1)


def picture(number: int, label: str, split: str | None = None, group: str | None = None, folder: str = "d") -> Picture:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return Picture(f"{folder}/{label}/{number}.jpg", STAT, label, split, group, digest)


def manifest(*pictures: Picture) -> Manifest:
    return Manifest("d", pictures)


def by_digest(done: Manifest) -> dict[str | None, str | None]:
    return {p.digest: p.split for p in done.pictures}


def two_classes(count: int, **options: str) -> list[Picture]:
    return [picture(i, "ab"[i % 2], **options) for i in range(count)]


@pytest.mark.parametrize("each", [10, 12, 15, 30, 60, 90, 180, 2000])
def test_each_class_has_its_share_in_each_split(each: int) -> None:
    """It is off by a tenth at the most: to the nearest image in small classes."""
    done = complete_splits(manifest(*two_classes(2 * each)), 0.2, 0.1)
    for label in "ab":
        splits = [p.split for p in done.pictures if p.label == label]
        for split, fraction in (("val", 0.2), ("test", 0.1)):
            assert abs(splits.count(split) - each * fraction) <= 0.5 + each * fraction // 10


@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 10**6))
def test_the_fractions_hold_in_unequal_classes(one: int, other: int, first: int) -> None:
    """Each class alone: the smaller one does not pay for the larger one."""
    pictures = [picture(first + i, "a" if i < one else "b") for i in range(one + other)]
    done = complete_splits(manifest(*pictures))
    for label, size in (("a", one), ("b", other)):
        splits = [p.split for p in done.pictures if p.label == label]
        assert abs(splits.count("test") - max(1, size * 0.2)) <= 0.5
        assert abs(splits.count("val") - max(1, size * 0.2)) <= 0.5


@pytest.mark.parametrize("groups", [0, 24])
@given(st.integers(6, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_new_images_and_new_places_move_few(groups: int, size: int, more: int, first: int) -> None:
    """Names, folders and order do not matter; a new image (or group) moves two old ones at the most, on average."""

    def images(size: int, folder: str) -> list[Picture]:
        group = [f"g{i % groups}" if groups else None for i in range(size)]
        return [picture(first + i, "ab"[i % 2], group=group[i], folder=folder) for i in range(size)]

    old, new = images(size, "d"), images(size + more, "elsewhere")
    before, after = by_digest(complete_splits(manifest(*old))), by_digest(complete_splits(manifest(*reversed(new))))
    assert by_digest(complete_splits(manifest(*reversed(images(size, "elsewhere"))))) == before
    units = dict(zip([p.digest for p in old], unit_names(old), strict=True))
    moved = {units[digest] for digest, split in before.items() if digest and after[digest] != split}
    added = len({*unit_names(new)} - {*units.values()})
    assert len(moved) <= 2 * added + 4 * (added > 0)
    assert not any((before[d], after[d]) == ("train", "test") for d in before if size >= 30 > 10 > more)


def test_a_large_class_that_grows_moves_nothing() -> None:
    """The cuts are at the fractions themselves, so an image stays where it is."""
    before = by_digest(complete_splits(manifest(*two_classes(4000))))
    after = by_digest(complete_splits(manifest(*two_classes(4400))))
    assert all(after[digest] == split for digest, split in before.items())


def test_groups_that_classes_share_are_divided_evenly() -> None:
    """Each patient has images of both classes."""
    pictures = [picture(2 * i + n, "ab"[n], group=f"patient {i}") for i in range(30) for n in range(2)]
    assert count(complete_splits(manifest(*pictures))) == {"train": 36, "val": 12, "test": 12}


@pytest.mark.parametrize(
    ("size", "splits"),
    [
        (1, {"train": 1, "val": 0, "test": 0}),
        (2, {"train": 1, "val": 0, "test": 1}),
        (3, {"train": 1, "val": 1, "test": 1}),
        (4, {"train": 2, "val": 1, "test": 1}),
        (5, {"train": 3, "val": 1, "test": 1}),
    ],
)
def test_a_class_of_a_few_images(size: int, splits: dict[str, int]) -> None:
    """Training comes first, then the test, then validation."""
    done = complete_splits(manifest(*(picture(i, "a") for i in range(size)), *(picture(i, "b") for i in range(50, 70))))
    assert count(manifest(*(p for p in done.pictures if p.label == "a"))) == splits


def test_copies_and_groups_stay_together() -> None:
    """Two files of one image, and all images of one group, are in one split."""
    copies = [picture(i, "ab"[i % 2], folder=f) for i in range(200) for f in ("x", "y")]
    done = complete_splits(manifest(*copies))
    assert len({(p.digest, p.split) for p in done.pictures}) == 200
    groups = [picture(i, "ab"[i % 2], group=f"g{i % 10}") for i in range(200)]
    assert len({(p.group, p.split) for p in complete_splits(manifest(*groups)).pictures}) == 10


@given(st.integers(3, 8), st.integers(0, 1000))
def test_small_classes_have_one_in_each_split(count: int, first: int) -> None:
    """If a class has three images or more, none of its splits is empty."""
    pictures = [picture(first + i, label) for label, first in (("a", first), ("b", first + 5000)) for i in range(count)]
    done = complete_splits(manifest(*pictures))
    for label in "ab":
        assert {p.split for p in done.pictures if p.label == label} == {"train", "val", "test"}


def test_given_splits_stay() -> None:
    """With train and test given, validation is taken from training alone."""
    given_ = [picture(i, "ab"[i % 2], split="train" if i < 300 else "test") for i in range(400)]
    done = complete_splits(manifest(*given_))
    assert all(p.split == "test" for p in done.pictures[300:])
    assert {p.split for p in done.pictures[:300]} == {"train", "val"}
    with_val = [*given_, picture(999, "a", split="val")]
    assert complete_splits(manifest(*with_val)).pictures == tuple(with_val)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([picture(1, "a"), picture(2, "a")], "only the class"),
        ([picture(1, "a")._replace(label=None)], "no labels"),
        ([picture(1, "a", "val"), picture(2, "b", "val")], "no training split"),
    ],
)
def test_nothing_to_learn_from_is_an_error(pictures: list[Picture], message: str) -> None:
    """One class, no labels and no training images are refused."""
    with pytest.raises(DataError, match=message):
        complete_splits(manifest(*pictures))


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.6, 0.5), (-1, 0), (1.0, 0.0)])
def test_fractions_must_leave_training_images(fractions: tuple[float, float]) -> None:
    """Fractions that leave none are refused."""
    with pytest.raises(UsageError):
        complete_splits(manifest(*two_classes(10)), *fractions)


def test_an_image_in_two_splits_is_found() -> None:
    """The pair has the same bytes in training and in test."""
    trained, tested = picture(1, "a", "train"), picture(1, "a", "test", folder="e")
    assert shared_between_splits(manifest(trained, tested, picture(2, "b", "test"))) == [(trained, tested)]


def test_groups_that_share_an_image_are_one_unit() -> None:
    """A copy without a group belongs to the group of the other one; the order of the images does not matter."""
    pictures = [picture(1, "a", group="g"), picture(1, "a", group="h"), picture(2, "b", group="h"), picture(1, "a")]
    pictures += [picture(3, "a", group="k"), picture(4, "a"), picture(4, "b")]
    names = unit_names(pictures)
    assert names[:5] == ["group:g"] * 4 + ["group:k"]
    assert names[5] == names[6] == f"digest:{pictures[5].digest}"
    assert unit_names(pictures[::-1]) == names[::-1]
    many = [picture(n, "ab"[n % 2], group=f"p{n}") for n in range(100)]
    done = complete_splits(manifest(*many, *(picture(n, "ab"[n % 2], group=f"q{n}") for n in range(100))))
    assert [p.split for p in done.pictures[:100]] == [p.split for p in done.pictures[100:]]


def test_a_group_that_the_data_set_divides_is_told() -> None:
    """Splits that are given stay, but images of a patient in two of them make figures too good."""
    pictures = [picture(n, "ab"[n % 2], "test" if n < 4 else "train", group=f"p{n // 3}") for n in range(8)]
    [note] = leak_notes(manifest(*pictures))
    assert note.startswith("1 group with images in the training split and in another, such as p1: the accuracy is too")
    assert leak_notes(manifest(*(p._replace(group=None) for p in pictures))) == ()


def count(done: Manifest) -> dict[str, int]:
    return {split: len(done.of_split(split)) for split in ("train", "val", "test")}


def test_the_validation_split_may_be_measured_on() -> None:
    """It becomes the test split, and training images take its place; a test split is not divided again."""
    given = [*two_classes(100, split="train"), *(picture(i, "ab"[i % 2], "val") for i in range(100, 140))]
    done = complete_splits(manifest(*given), val_as_test=True)
    assert count(done)["test"] == 40
    assert {p.digest for p in done.of_split("test")} == {p.digest for p in given if p.split == "val"}
    assert 5 < count(done)["val"] < 40
    assert {p.digest for p in done.of_split("val")} < {p.digest for p in given if p.split == "train"}

    undivided = complete_splits(manifest(*two_classes(200)), 0.2, 0.0)
    done = complete_splits(manifest(*two_classes(200)), 0.2, 0.0, val_as_test=True)
    assert {p.digest for p in done.of_split("test")} == {p.digest for p in undivided.of_split("val")}
    assert count(done)["val"] > 20

    done = complete_splits(manifest(*two_classes(200, split="train")), val_as_test=True)
    assert min(count(done).values()) > 20


@pytest.mark.parametrize("split", [None, "test"])
def test_where_there_is_a_test_split_it_is_measured_on(split: str | None) -> None:
    """Given or made."""
    given = [*two_classes(20, split="train"), *two_classes(20, split="test")] if split else two_classes(40)
    with pytest.raises(UsageError, match="d has a test split, which is measured on; leave it out"):
        complete_splits(manifest(*given), val_as_test=True)


def test_a_fold_without_a_class_to_train_on_is_refused() -> None:
    """Groups that classes share stay together; no head can answer with a class that it has not seen."""
    groups = [{"a": 100, "b": 1}, {"c": 60}, {"c": 50, "b": 1}, {"c": 30, "b": 1}]  # those of b fall into one fold
    pictures = [picture(9000 + i, label) for label in "ac" for i in range(8)]
    for g, sizes in enumerate(groups):
        pictures += [
            picture(1000 * g + 200 * "abc".index(c) + i, c, group=f"g{g}") for c in sizes for i in range(sizes[c])
        ]
    with pytest.raises(DataError, match="fold 1 of 2 has no image of class 'b' to train on, .*another number of folds"):
        fold_splits(manifest(*pictures), 2)
    assert len(fold_splits(manifest(*pictures), 3)) == 3


def test_folds_are_balanced_where_groups_are_unequal() -> None:
    """Patients of 1 to 12 images in two classes, some in both: each fold has about its share of each class."""
    sizes = {"a": [12, 9, 7, 7, 6, 5, 5, 3, 2, 2, 1, 1], "b": [10, 8, 8, 4, 4, 3, 3, 2, 1, 1]}
    pictures, number = [], 0
    for label, of_groups in sizes.items():
        for g, size in enumerate(of_groups):
            group = f"shared {g}" if g in (3, 7) else f"{label} {g}"
            pictures += [picture(number := number + 1, label, group=group) for _ in range(size)]
    for fold in fold_splits(manifest(*pictures), 4):
        held_out = {p.group for p in fold.of_split("test")}
        assert not held_out & {p.group for p in fold.pictures if p.split != "test"}
        for label, of_groups in sizes.items():
            assert abs(sum(p.label == label for p in fold.of_split("test")) - sum(of_groups) / 4) <= 2


def test_another_seed_makes_other_folds() -> None:
    """Repeats measure each image next to other training images; the first seed's folds stay as they are."""
    data = manifest(*two_classes(200))

    def held_out(seed: int) -> list[frozenset[str]]:
        return [frozenset(p.digest for p in fold.of_split("test")) for fold in fold_splits(data, 4, seed=seed)]

    assert held_out(0) == [frozenset(p.digest for p in fold.of_split("test")) for fold in fold_splits(data, 4)]
    assert held_out(1) == held_out(1)
    assert not set(held_out(0)) & set(held_out(1))
    assert all(len(fold) == 50 for fold in held_out(1))
