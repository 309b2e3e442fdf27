"""Splits made from content digests, so that they hold when a folder is moved, renamed or added to.

An image falls into a split by a number in [0, 1) drawn from its own digest (or its group), class by class. New images
never move old ones, copies of one image stay together, and each class is divided in about the same proportion.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from featstore.datasets.manifest import Manifest, Picture
from featstore.errors import DataError, UsageError


def complete_splits(manifest: Manifest, val_fraction: float = 0.2, test_fraction: float = 0.2) -> Manifest:
    """The manifest with a split on every labelled picture; those that are given stay.

    With no splits at all, train, val and test are made. With a training split but no validation split, the latter is
    taken from it; a test split is never taken from data whose maker divided it. Every picture needs its digest.
    Raises as `check_splittable` does.
    """
    check_splittable(manifest, val_fraction, test_fraction)
    given = {p.split for p in manifest.pictures if p.label is not None}
    if given == {None}:
        pictures = _divide(manifest.pictures, None, {"test": test_fraction, "val": val_fraction})
    elif "val" not in given:
        pictures = _divide(manifest.pictures, "train", {"val": val_fraction})
    else:
        pictures = list(manifest.pictures)
    return manifest.with_pictures(pictures)


def check_splittable(manifest: Manifest, val_fraction: float = 0.2, test_fraction: float = 0.2) -> None:
    """Raise DataError where there is nothing to train on, or only some of the labelled pictures have a split.

    It needs no digests, so that it can be called before hours of extraction.
    """
    if not (0 < val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise UsageError("val and test fractions must lie between 0 and 1 and leave something to train on")
    given = {p.split for p in manifest.pictures if p.label is not None}
    if not manifest.classes:
        raise DataError(f"{manifest.source}: no labels found; expected DATA/<class>/* or a CSV with a label column")
    if len(manifest.classes) < 2:
        raise DataError(f"{manifest.source}: only the class {manifest.classes[0]!r} was found; two are needed")
    if None in given and len(given) > 1:
        raise DataError(f"{manifest.source}: only some of the labelled images have a split; give one to all or to none")
    if given != {None} and "train" not in given:
        raise DataError(f"{manifest.source}: no training split among {', '.join(sorted(map(str, given)))}")


def fold_splits(manifest: Manifest, folds: int, val_fraction: float = 0.2) -> list[Manifest]:
    """The manifest once for each fold of a cross-validation, with that fold as its test split.

    Pictures of a given test split take no part. Folds are stratified and, as all splits here, made from content
    digests: copies and groups stay together. Raises DataError where a class is too small.
    """
    pictures = [p._replace(split=None) for p in manifest.pictures if p.label is not None and p.split != "test"]
    fold_of: dict[float, int] = {}
    for label in manifest.classes:
        numbers = sorted({_unit(p) for p in pictures if p.label == label})
        if len(numbers) < max(folds, 3):
            raise DataError(
                f"{manifest.source}: {len(numbers)} different images of class {label!r} are too few for {folds} folds"
            )
        for place, number in enumerate(numbers):
            fold_of.setdefault(number, place % folds)
    divided = []
    for fold in range(folds):
        marked = [p._replace(split="test" if fold_of[_unit(p)] == fold else "train") for p in pictures]
        divided.append(manifest.with_pictures(_divide(marked, "train", {"val": val_fraction})))
    return divided


def _divide(pictures: Sequence[Picture], source: str | None, fractions: dict[str, float]) -> list[Picture]:
    """Labelled pictures of the split `source` divided by `fractions`; the rest of it becomes train."""
    number_of = {i: _unit(p) for i, p in enumerate(pictures) if p.label is not None and p.split == source}
    split_of = {number: _draw(number, fractions) for number in number_of.values()}
    of_class: dict[str, set[float]] = defaultdict(set)
    for i, number in number_of.items():
        of_class[pictures[i].class_name].add(number)
    for label in sorted(of_class):
        _lend(sorted(of_class[label]), split_of, fractions)
    return [p._replace(split=split_of[number_of[i]]) if i in number_of else p for i, p in enumerate(pictures)]


def _draw(number: float, fractions: dict[str, float]) -> str:
    """[0, a) is the first split's, [a, a + b) the second's, the rest is for training."""
    stop = 0.0
    for split, fraction in fractions.items():
        stop += fraction
        if number < stop:
            return split
    return "train"


def _lend(numbers: Sequence[float], split_of: dict[float, str], fractions: dict[str, float]) -> None:
    """Where one class's `numbers` leave a split empty, the split that has most of them lends it the first one.

    It moves all that has this number, in other classes as well: a group is not torn for the sake of a small class.
    """
    for split in ("train", *(name for name, fraction in fractions.items() if fraction)):
        held = Counter(split_of[number] for number in numbers)
        lender, most = held.most_common(1)[0]
        if split not in held and most > 1:
            split_of[next(n for n in numbers if split_of[n] == lender)] = split
    if all(split_of[number] != "train" for number in numbers):  # a single image: it can only be learnt from
        split_of |= dict.fromkeys(numbers, "train")


def _unit(picture: Picture) -> float:
    """A number in [0, 1) that depends on nothing but the group or the content."""
    name = f"group:{picture.group}" if picture.group is not None else f"digest:{picture.digest}"
    return int.from_bytes(hashlib.sha256(f"featstore-split-1:{name}".encode()).digest()[:8], "big") / 2**64
