"""Splits made from content digests, so that they stay the same when a folder is moved, renamed or added to.

The digest of an image (or its group) gives a number in [0, 1), and this number gives the split. So new images move no
old ones, copies of one image stay together, and each class is divided in about the same proportion.

There is one exception. A class that has no image of its own in a split borrows one, and returns it when it has. No rule
without a memory avoids this: it would depend on the image alone, and a class could lack any of the three splits.
With n different images, or groups of them, a class borrows with a probability of about 2 x 0.8^n: 21 % for 10 images,
2 % for 20, 0.2 % for 30. A run says which images are in another split than in an earlier run (`runs/moves.py`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.units import unit_names
from featstore.errors import DataError, UsageError, param


def complete_splits(
    manifest: Manifest, val_fraction: float = 0.2, test_fraction: float = 0.2, val_as_test: bool = False
) -> Manifest:
    """Give every labelled image a split. Given splits stay.

    If no image has a split, train, val and test are made. If there is a training split but no validation split, the
    latter is taken from the former. A test split is never taken from data that its author has divided.

    Args:
        manifest: The data set. Every image needs its digest, so its features must have been extracted.
        val_fraction: Share of the images for validation, above 0 and below 1.
        test_fraction: Share of the images for the test, from 0 to below 1.
        val_as_test: Whether the validation split becomes the test split, and training images the validation split.

    Returns:
        The manifest with a split for every labelled image.

    Raises:
        DataError: There are no labels, fewer than two classes or no training split, or only some of the labelled
            images have a split, or an image has no digest.
        UsageError: The fractions leave nothing to train on, or `val_as_test` and there is a test split.
    """
    check_splittable(manifest, val_fraction, test_fraction, val_as_test)
    given = {p.split for p in manifest.pictures if p.label is not None}
    if val_as_test:
        pictures = _measure_on_val(manifest, given, val_fraction)
    elif given == {None}:
        pictures = _divide(manifest.pictures, None, {"test": test_fraction, "val": val_fraction})
    elif "val" not in given:
        pictures = _divide(manifest.pictures, "train", {"val": val_fraction})
    else:
        pictures = list(manifest.pictures)
    return manifest.with_pictures(pictures)


def _measure_on_val(manifest: Manifest, given: set[str | None], fraction: float) -> list[Picture]:
    """Make what would be the validation split the test split; the new validation split comes from the training images.

    given: the splits that the labelled pictures have.
    """
    if "val" not in given:
        source = None if given == {None} else "train"
        return _divide(manifest.pictures, source, {"test": fraction, "val": fraction})
    moved = [p._replace(split="test") if p.split == "val" else p for p in manifest.pictures]
    return _divide(moved, "train", {"val": fraction})


def check_splittable(
    manifest: Manifest, val_fraction: float = 0.2, test_fraction: float = 0.2, val_as_test: bool = False
) -> None:
    """Raise the errors of `complete_splits` that need no digests, so before hours of extraction."""
    if not (0 < val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise UsageError("val and test fractions must lie between 0 and 1, and their sum below 1")
    given = {p.split for p in manifest.pictures if p.label is not None}
    hint = f"; {manifest.hint}" if manifest.hint else ""
    if not manifest.classes:
        raise DataError(
            f"{manifest.source}: no labels found; expected DATA/<class>/* or a CSV with a label column{hint}"
        )
    if len(manifest.classes) < 2:
        raise DataError(f"{manifest.source}: only the class {manifest.classes[0]!r} was found; two are needed{hint}")
    if None in given and len(given) > 1:
        raise DataError(f"{manifest.source}: only some of the labelled images have a split; give one to all or to none")
    if val_as_test and ("test" in given or (given == {None} and test_fraction > 0)):
        raise UsageError(
            f"{param('val_as_test', True)}: {manifest.source} has a test split, which is measured on; leave it out"
        )
    if given != {None} and "train" not in given:
        raise DataError(f"{manifest.source}: no training split among {', '.join(sorted(map(str, given)))}")


def fold_splits(manifest: Manifest, folds: int, val_fraction: float = 0.2) -> list[Manifest]:
    """Return the manifest once for each fold of a cross-validation, with that fold as its test split.

    Pictures of a given test split are left out. Folds are stratified. They are made from content digests, as all splits
    here: copies and groups stay together. Raises DataError if a class is too small, or all its groups lie in one fold.
    """
    pictures = [p._replace(split=None) for p in manifest.pictures if p.label is not None and p.split != "test"]
    number_of = [_hash_number(name) for name in unit_names(pictures)]
    fold_of: dict[float, int] = {}
    for label in manifest.classes:
        numbers = sorted({number for p, number in zip(pictures, number_of, strict=True) if p.label == label})
        if len(numbers) < max(folds, 3):
            raise DataError(
                f"{manifest.source}: {len(numbers)} different images of class {label!r} are too few for {folds} folds"
            )
        for place, number in enumerate(numbers):
            fold_of.setdefault(number, place % folds)
    divided = []
    for fold in range(folds):
        marked = [
            p._replace(split="test" if fold_of[number] == fold else "train")
            for p, number in zip(pictures, number_of, strict=True)
        ]
        divided.append(manifest.with_pictures(_divide(marked, "train", {"val": val_fraction})))
        _check_trained(divided[-1], fold + 1, folds)
    return divided


def _check_trained(manifest: Manifest, fold: int, folds: int) -> None:
    """Raise DataError if a class of `manifest` is not in its training split: a head cannot know that it exists."""
    trained = {p.label for p in manifest.of_split("train")}
    missing = [name for name in manifest.classes if name not in trained]
    if missing:
        raise DataError(
            f"{manifest.source}: fold {fold} of {folds} has no image of class {missing[0]!r} to train on, as groups "
            "that classes share stay together; take another number of folds, or give splits in the CSV"
        )


def _divide(pictures: Sequence[Picture], source: str | None, fractions: dict[str, float]) -> list[Picture]:
    """Divide the labelled pictures of the split `source` by `fractions`; the rest of it is for training."""
    places = [i for i, p in enumerate(pictures) if p.label is not None and p.split == source]
    names = unit_names([pictures[i] for i in places])
    number_of = {i: _hash_number(name) for i, name in zip(places, names, strict=True)}
    split_of = {number: _split_at(number, fractions) for number in number_of.values()}
    of_class: dict[str, set[float]] = defaultdict(set)
    for i, number in number_of.items():
        of_class[pictures[i].class_name].add(number)
    for label in sorted(of_class):
        _borrow_for_empty_splits(sorted(of_class[label]), split_of, fractions)
    return [p._replace(split=split_of[number_of[i]]) if i in number_of else p for i, p in enumerate(pictures)]


def _split_at(number: float, fractions: dict[str, float]) -> str:
    """Return the split for a number: [0, a) is the first split, [a, a + b) the second, the rest is for training."""
    stop = 0.0
    for split, fraction in fractions.items():
        stop += fraction
        if number < stop:
            return split
    return "train"


def _borrow_for_empty_splits(numbers: Sequence[float], split_of: dict[float, str], fractions: dict[str, float]) -> None:
    """Give each split that has none of a class's `numbers` one from the split with the most of them.

    All images with this number move, in other classes too: a group is never divided.
    """
    for split in ("train", *(name for name, fraction in fractions.items() if fraction)):
        counts = Counter(split_of[number] for number in numbers)
        lender, most = counts.most_common(1)[0]
        if split not in counts and most > 1:
            split_of[next(n for n in numbers if split_of[n] == lender)] = split
    if all(split_of[number] != "train" for number in numbers):  # a single image is for training
        split_of |= dict.fromkeys(numbers, "train")


def _hash_number(unit: str) -> float:
    """Return a number in [0, 1) that depends only on the name of the unit."""
    return int.from_bytes(hashlib.sha256(f"featstore-split-1:{unit}".encode()).digest()[:8], "big") / 2**64
