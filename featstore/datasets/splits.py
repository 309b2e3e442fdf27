"""Splits made from content digests: even, and hardly changed when a folder is moved, renamed or added to.

The digest of an image (or its group) gives a number in [0, 1). The images of a class, in the order of these numbers,
are cut into test, val and train. So copies of one image stay together, and neither names nor order matter.

Where to cut is a choice between even splits and splits that never move. Cut at the fractions themselves, an image stays
where it is whatever else comes, but 30 images may become 17, 10 and 3. Cut at the ranks, the splits are even, but every
few new images push an old one over a cut. Here the cuts are at the fractions, moved as little as it takes to be within
a tenth of the share of the class: to the nearest image below 10 images, and not at all in a large class. Over 300 draws
with fractions of 0.2 and 0.2, in images of one class:

    images  rank: moved when it doubles  here: moved  here: off its share  at the fractions: off its share
    10             1.5 (15 %)             1.5 (15 %)        0                    0.9
    30             2.6 (9 %)              2.7 (9 %)         0                    1.7
    90             4.8 (5 %)              3.5 (4 %)         0.9                  2.9
    180            6.8 (4 %)              3.4 (2 %)         2.3                  3.9
    2000            21 (1 %)              0.2 (0 %)        14.7                 12.8

One new image moves 0.5 old ones on average in a class of up to 90. They move between neighbours, test and val or val
and train: none goes from train to test, but in classes of a few images. A run says which images are in another split
than in an earlier run (`runs/moves.py`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

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


def pool_for_folds(manifest: Manifest) -> Manifest:
    """Return the images that a cross-validation divides: all but those of a given test split."""
    return manifest.with_pictures([p._replace(split=None) for p in manifest.pictures if p.split != "test"])


def fold_splits(manifest: Manifest, folds: int, val_fraction: float = 0.2, seed: int = 0) -> list[Manifest]:
    """Return the manifest once for each fold of a cross-validation, with that fold as its test split.

    Pictures of a given test split are left out. Folds are stratified: each has its share of the images of each class,
    as well as groups allow. They are made from content digests, as all splits here: copies and groups stay together.
    Another `seed` divides the images in another way. Raises DataError if a class is too small, or all its groups lie in
    one fold.
    """
    pictures = [p for p in pool_for_folds(manifest).pictures if p.label is not None]
    number_of = [hash_number(name, seed) for name in unit_names(pictures)]
    of_unit: dict[float, Counter[str]] = defaultdict(Counter)
    for p, number in zip(pictures, number_of, strict=True):
        of_unit[number][p.class_name] += 1
    for label in manifest.classes:
        units = sum(label in labels for labels in of_unit.values())
        if units < max(folds, 3):
            raise DataError(
                f"{manifest.source}: {units} different images of class {label!r} are too few for {folds} folds"
            )
    fold_of = _balanced(of_unit, folds)
    divided = []
    for fold in range(folds):
        marked = [
            p._replace(split="test" if fold_of[number] == fold else "train")
            for p, number in zip(pictures, number_of, strict=True)
        ]
        divided.append(manifest.with_pictures(_divide(marked, "train", {"val": val_fraction}, seed)))
        _check_trained(divided[-1], fold + 1, folds)
    return divided


def _balanced(of_unit: Mapping[float, Counter[str]], folds: int) -> dict[float, int]:
    """Return the fold of each unit, by its number; `of_unit` has how many images of each class it holds.

    Large units come first. Each goes where its classes have the fewest images so far; those of which it has many count
    for more, and so do rare ones.
    """
    sizes: Counter[str] = Counter()
    for labels in of_unit.values():
        sizes.update(labels)
    rarity = {label: sizes.total() // size for label, size in sizes.items()}
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of = {}
    for number in sorted(of_unit, key=lambda number: (-of_unit[number].total(), number)):
        labels = of_unit[number]
        weights = {label: n * rarity[label] for label, n in labels.items()}
        crowded = [sum(held[k][label] * weight for label, weight in weights.items()) for k in range(folds)]
        fold_of[number] = min(range(folds), key=lambda k: (crowded[k], held[k].total(), k))
        held[fold_of[number]].update(labels)
    return fold_of


def _check_trained(manifest: Manifest, fold: int, folds: int) -> None:
    """Raise DataError if a class of `manifest` is not in its training split: a head cannot know that it exists."""
    trained = {p.label for p in manifest.of_split("train")}
    missing = [name for name in manifest.classes if name not in trained]
    if missing:
        raise DataError(
            f"{manifest.source}: fold {fold} of {folds} has no image of class {missing[0]!r} to train on, as groups "
            "that classes share stay together; take another number of folds, or give splits in the CSV"
        )


def _divide(
    pictures: Sequence[Picture], source: str | None, fractions: dict[str, float], seed: int = 0
) -> list[Picture]:
    """Divide the labelled pictures of the split `source` by `fractions`; the rest of it is for training."""
    places = [i for i, p in enumerate(pictures) if p.label is not None and p.split == source]
    names = unit_names([pictures[i] for i in places])
    number_of = {i: hash_number(name, seed) for i, name in zip(places, names, strict=True)}
    classes_of: dict[float, set[str]] = defaultdict(set)
    of_class: dict[str, set[float]] = defaultdict(set)
    for i, number in number_of.items():
        classes_of[number].add(pictures[i].class_name)
        of_class[pictures[i].class_name].add(number)
    strata: dict[str, list[float]] = defaultdict(list)  # groups that several classes share are a stratum of their own
    for number, classes in classes_of.items():
        strata["".join(classes) if len(classes) == 1 else ""].append(number)
    split_of: dict[float, str] = {}
    for numbers in strata.values():
        split_of |= _cut(sorted(numbers), fractions)
    for label in sorted(of_class):
        _borrow_for_empty_splits(sorted(of_class[label]), split_of, fractions)
    return [p._replace(split=split_of[number_of[i]]) if i in number_of else p for i, p in enumerate(pictures)]


def _cut(numbers: Sequence[float], fractions: dict[str, float]) -> dict[float, str]:
    """Return the split of each of the sorted `numbers`: [0, a) is the first split, [a, a + b) the second, about."""
    shares = _shares(len(numbers), fractions)
    split_of: dict[float, str] = {}
    end, start = 0.0, 0
    for split, fraction in fractions.items():
        end += fraction
        untouched = sum(number < end for number in numbers) - start
        share, slack = shares[split], shares[split] // 10
        size = min(max(untouched, share - slack), share + slack)
        split_of |= dict.fromkeys(numbers[start : start + size], split)
        start += size
    return split_of | dict.fromkeys(numbers[start:], "train")


def _shares(size: int, fractions: dict[str, float]) -> dict[str, int]:
    """Return how many of `size` images each split gets: to the nearest image, but one at least while there are any.

    The first image is for training, the next for the first split, and so on.
    """
    shares: dict[str, int] = {}
    left = size - 1
    wanted = [split for split, fraction in fractions.items() if fraction]
    for split, fraction in fractions.items():
        if fraction:
            wanted.remove(split)
            most = max(left - len(wanted), min(left, 1))
            shares[split] = min(max(1, int(size * fraction + 0.5)), most)
        else:
            shares[split] = 0
        left -= shares[split]
    return shares


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


def hash_number(unit: str, seed: int = 0) -> float:
    """Return a number in [0, 1) that depends only on the name of the unit and the seed."""
    prefix = f"featstore-split-1{f'-seed-{seed}' if seed else ''}"
    return int.from_bytes(hashlib.sha256(f"{prefix}:{unit}".encode()).digest()[:8], "big") / 2**64
