"""Splits made from content digests, so that they hold when a folder is moved, renamed or added to.

An image falls into a split by a number in [0, 1) drawn from its own digest (or its group), class by class. New images
never move old ones, copies of one image stay together, and each class is divided in about the same proportion.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from featstore.errors import DataError, UsageError
from featstore.images.manifest import Manifest, Picture


def complete_splits(manifest: Manifest, val_fraction: float = 0.2, test_fraction: float = 0.2) -> Manifest:
    """The manifest with a split on every labelled picture; those that are given stay.

    With no splits at all, train, val and test are made. With a training split but no validation split, the latter is
    taken from it; a test split is never taken from data whose maker divided it. Every picture needs its digest.
    Raises DataError where there is nothing to train on.
    """
    if not (0 < val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise UsageError("val and test fractions must lie between 0 and 1 and leave something to train on")
    given = {p.split for p in manifest.pictures if p.split is not None}
    if not manifest.classes:
        raise DataError(f"{manifest.source}: no labels found; expected DATA/<class>/* or a CSV with a label column")
    if len(manifest.classes) < 2:
        raise DataError(f"{manifest.source}: only the class {manifest.classes[0]!r} was found; two are needed")
    if given and "train" not in given:
        raise DataError(f"{manifest.source}: no training split among {', '.join(sorted(given))}")
    if not given:
        pictures = _divide(manifest.pictures, None, {"test": test_fraction, "val": val_fraction})
    elif "val" not in given:
        pictures = _divide(manifest.pictures, "train", {"val": val_fraction})
    else:
        pictures = list(manifest.pictures)
    return manifest.with_pictures(pictures)


def _divide(pictures: Sequence[Picture], source: str | None, fractions: dict[str, float]) -> list[Picture]:
    """Labelled pictures of the split `source` divided by `fractions`; the rest of it becomes train."""
    place = {p.path: i for i, p in enumerate(pictures)}
    divided = list(pictures)
    of_class: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.label is not None and picture.split == source:
            of_class[picture.label].append(picture)
    for members in of_class.values():
        for picture, split in zip(members, _assign([_unit(p) for p in members], fractions), strict=True):
            divided[place[picture.path]] = picture._replace(split=split)
    return divided


def _assign(numbers: Sequence[float], fractions: dict[str, float]) -> list[str]:
    """A split per number: [0, a) is the first one's, [a, a + b) the second's, the rest is for training.

    Where a small class would leave a split empty, the split that has most lends it an image.
    """
    of_number: dict[float, str] = {}
    for number in sorted(numbers):
        stop = 0.0
        for split, fraction in fractions.items():
            stop += fraction
            if number < stop:
                of_number[number] = split
                break
        else:
            of_number[number] = "train"
    for split in ("train", *(name for name, fraction in fractions.items() if fraction)):
        held = Counter(of_number.values())
        lender, most = held.most_common(1)[0]
        if split not in held and most > 1:
            of_number[next(n for n, s in of_number.items() if s == lender)] = split
    if "train" not in of_number.values():  # a single image: it can only be learnt from
        of_number = dict.fromkeys(of_number, "train")
    return [of_number[number] for number in numbers]


def _unit(picture: Picture) -> float:
    """A number in [0, 1) that depends on nothing but the group or the content."""
    if picture.group is None and picture.digest is None:
        raise DataError(f"{picture.path}: has no digest yet; extract before splitting")
    name = f"group:{picture.group}" if picture.group is not None else f"digest:{picture.digest}"
    return int.from_bytes(hashlib.sha256(f"featstore-split-1:{name}".encode()).digest()[:8], "big") / 2**64


def shared_between_splits(manifest: Manifest) -> list[tuple[Picture, Picture]]:
    """Pairs of a training picture and a held-out one with the same bytes: their accuracy is not to be believed."""
    trained = {p.digest: p for p in manifest.of_split("train") if p.digest}
    held_out = (p for p in manifest.pictures if p.split in ("val", "test"))
    return [(trained[p.digest], p) for p in held_out if p.digest in trained]
