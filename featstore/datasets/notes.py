"""Notes on a data set: the one place that knows its leaks, its contradictions and what it lacks.

Leaks make figures too good. Remarks are anything else that a colleague would point out before the training.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from featstore.datasets.labels import alike_labels
from featstore.datasets.manifest import SPLITS, Manifest, Picture
from featstore.system.text import count, listed

_IMBALANCE = 10  # times as many images in the largest class as in the smallest


def leak_notes(manifest: Manifest) -> tuple[str, ...]:
    """Return a line for copies of images in several splits, and one for groups; the images need their digests."""
    return (*_copies_in_splits(manifest), *_divided_groups(manifest))


def trained_on_notes(split_in_run: Mapping[str, str], manifest: Manifest) -> tuple[str, ...]:
    """Return a line for each held-out split of `manifest` with images that a run was trained on.

    split_in_run: digest of each image of the run -> its split there.
    """
    notes = []
    for split in sorted({p.split for p in manifest.pictures if p.split not in (None, "train")}):
        pictures = [p for p in manifest.of_split(split) if p.label is not None]
        seen = [p for p in pictures if split_in_run.get(p.digest) == "train"]
        if seen:
            notes.append(
                f"{len(seen)} of the {len(pictures)} images of the split {split} are among those that the run was "
                f"trained on, such as {seen[0].path}: its accuracy is too high"
            )
    return tuple(notes)


def remarks(manifest: Manifest) -> tuple[str, ...]:
    """Return a line for all else that is worth knowing: how the data were understood, and what they lack.

    Copies of one image with several labels are found once the images have been read.
    """
    labelled = [p for p in manifest.pictures if p.label is not None]
    return (
        *manifest.notes,
        *_alike_labels(manifest),
        *_contradictions(labelled),
        *_small_classes(manifest, labelled),
        *_missing_classes(manifest, labelled),
        *_missing_labels(manifest, labelled),
    )


def shared_between_splits(manifest: Manifest) -> list[tuple[Picture, Picture]]:
    """Return the pairs of a training picture and a labelled held-out one with the same bytes."""
    return _copies(manifest, "train", ("val", "test"))


def _copies(manifest: Manifest, first: str, others: Sequence[str]) -> list[tuple[Picture, Picture]]:
    known = {p.digest: p for p in manifest.of_split(first)}
    held_out = (p for p in manifest.pictures if p.split in others and p.label is not None)
    return [(known[p.digest], p) for p in held_out if p.digest in known]


def _copies_in_splits(manifest: Manifest) -> Iterator[str]:
    if shared := shared_between_splits(manifest):
        trained, held_out = shared[0]
        yield (
            f"{count(len(shared), 'held-out image')} {_are(shared)} byte for byte in the training split too, such as "
            f"{held_out.path} and {trained.path}: the accuracy is too high by their share"
        )
    if shared := _copies(manifest, "val", ("test",)):
        chosen_on, tested = shared[0]
        yield (
            f"{count(len(shared), 'test image')} {_are(shared)} byte for byte in the validation split too, such as "
            f"{tested.path} and {chosen_on.path}: what is chosen by validation knows them"
        )


def _divided_groups(manifest: Manifest) -> Iterator[str]:
    """Yield a line if the data set itself has groups in the training split and in another one."""
    groups = {split: {p.group for p in manifest.of_split(split)} - {None} for split in SPLITS}
    divided = sorted(filter(None, groups["train"] & (groups["val"] | groups["test"])))
    if divided:
        yield (
            f"{count(len(divided), 'group')} with images in the training split and in another, such as {divided[0]}: "
            "the accuracy is too high if the images of a group are alike"
        )


def _alike_labels(manifest: Manifest) -> Iterator[str]:
    for labels in alike_labels(manifest.classes):
        yield (
            f"the labels {' and '.join(map(repr, labels))} differ only in case, blanks or the writing of a number, and "
            "are classes of their own: rename one if they are meant to be the same"
        )


def _contradictions(labelled: Sequence[Picture]) -> Iterator[str]:
    """Yield a line if copies of one image have several labels: they can be neither learnt nor measured."""
    known = [p for p in labelled if p.known_digest is not None]
    label_of: dict[str, str | None] = {}
    if all(label_of.setdefault(p.digest, p.label) == p.label for p in known):  # the usual case, without a list of each
        return
    of_digest: dict[str, list[Picture]] = defaultdict(list)
    for picture in known:
        of_digest[picture.digest].append(picture)
    several = [copies for copies in of_digest.values() if len({p.label for p in copies}) > 1]
    if several:
        one = several[0][0]
        other = next(p for p in several[0] if p.label != one.label)
        yield (
            f"{count(len(several), 'image')} {_are(several)} there under more than one label, such as {one.path} "
            f"({one.label}) and {other.path} ({other.label}), byte for byte the same: no head can be right on both"
        )


def _small_classes(manifest: Manifest, labelled: Sequence[Picture]) -> Iterator[str]:
    """Yield a line for classes of a single image, and one for very unequal classes."""
    sizes = Counter(p.class_name for p in labelled)
    single = [name for name in manifest.classes if sizes[name] == 1]
    if single:
        yield f"only one image of {_classes(single)}: it can be trained on or measured, not both"
    if len(sizes) > 1:
        largest, smallest = (pick(manifest.classes, key=lambda name: sizes[name]) for pick in (max, min))
        if sizes[largest] >= _IMBALANCE * sizes[smallest]:
            yield (
                f"very unequal classes: {sizes[largest]:,} images of {largest}, {sizes[smallest]:,} of {smallest}; a "
                "head that knows the commonest class alone is often right"
            )


def _missing_classes(manifest: Manifest, labelled: Sequence[Picture]) -> Iterator[str]:
    """Yield a line for each split that lacks classes, and one if there is no test split."""
    of_split: dict[str, set[str]] = defaultdict(set)
    for picture in labelled:
        if picture.split is not None:
            of_split[picture.split].add(picture.class_name)
    for split in SPLITS:
        lacking = [name for name in manifest.classes if of_split[split] and name not in of_split[split]]
        if lacking:
            yield f"no image of {_classes(lacking)} in the split {split}"
    if of_split["train"] and not of_split["test"]:
        yield "no test split: figures on the validation split are too good for what was chosen by it"


def _missing_labels(manifest: Manifest, labelled: Sequence[Picture]) -> Iterator[str]:
    """Yield a line for images without a label among labelled ones; a test split may have none at all."""
    labelled_splits = {p.split for p in labelled}
    without = [p for p in manifest.pictures if p.label is None and p.split in labelled_splits]
    if without:
        yield f"{count(len(without), 'image')} without a label, such as {without[0].path}: not used"


def _classes(names: Sequence[str]) -> str:
    return f"the class{'es' if len(names) > 1 else ''} {listed(names)}"


def _are(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"
