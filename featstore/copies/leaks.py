"""What a training says of near copies before its table: leaks, or that nobody has looked for any.

Copies byte for byte are told by `datasets/notes.py`, which needs no pixels.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from featstore.copies.groups import SamePictures
from featstore.copies.job import find_copies, known_copies
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.summary import DataSummary, summarize
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan
from featstore.system.figures import percent
from featstore.system.text import count

if TYPE_CHECKING:
    from featstore.system.progress import Progress

MOST_IMAGES = 2000  # 1,200 photos of 400 px take 4 s on 2 cores once, and nothing again: a sixth of their extraction
MOST_BYTES = 200 * 2**20  # of their files: photos of 12 megapixels take 0.1 s each to decode


def summarize_with_copies(
    manifest: Manifest,
    plans: Sequence[Plan],
    cache: Cache,
    progress: Progress | None = None,
    *,
    in_folds: bool = False,
) -> DataSummary:
    """Return the summary of a data set whose features are in `cache`, with its leaks by near copies.

    They are looked for where that is cheap, or was done before. in_folds: whether the images will be divided into
    folds, and their splits do not count.
    """
    summary = summarize(manifest)
    copies = _copies(manifest, plans, cache, progress)
    if copies is None:
        return replace(summary, remarks=(*summary.remarks, _not_looked_for(manifest)))
    told = _between_folds(manifest, copies) if in_folds else _between_splits(manifest, copies)
    return replace(summary, leaks=(*summary.leaks, *told))


def _copies(manifest: Manifest, plans: Sequence[Plan], cache: Cache, progress: Progress | None) -> SamePictures | None:
    known = known_copies(manifest, plans, cache)
    size = sum(picture.stat.size for picture in manifest.pictures)
    if known is None and len(manifest) <= MOST_IMAGES and size <= MOST_BYTES:
        _, known = find_copies(manifest, plans, cache, progress)
    return known


def _between_splits(manifest: Manifest, copies: SamePictures) -> Iterator[str]:
    """Yield a line for each held-out split with images of which the training split has other copies than by bytes.

    Then one for test images that the validation split has copies of, and training has none.
    """
    trained_on = {picture.digest for picture in manifest.of_split("train")}
    leaked: dict[str, list[tuple[Picture, Picture]]] = {"test": [], "val": []}
    for group in copies.across_splits(manifest.pictures):
        trained = [picture for picture in group if picture.split == "train"]
        for picture in group:
            is_held_out = picture.split in leaked and picture.label is not None
            if trained and is_held_out and picture.digest not in trained_on:
                leaked[str(picture.split)].append((picture, _nearest(picture, trained, copies)))
    for split, pairs in leaked.items():
        if pairs:
            of = sum(picture.label is not None for picture in manifest.of_split(split))
            yield (
                f"{len(pairs)} of the {count(of, f'{split} image')} ({percent(len(pairs) / of)}) "
                f"{'is a copy' if len(pairs) == 1 else 'are copies'} of training images, though not byte for byte, "
                f"such as {_example(*pairs[0], copies)}: the accuracy is too high by their share; {_command(manifest)} "
                "lists them"
            )
    yield from _between_val_and_test(manifest, copies)


def _between_val_and_test(manifest: Manifest, copies: SamePictures) -> Iterator[str]:
    """Yield a line if training chooses by copies of test images, of other bytes, that it does not train on."""
    chosen_by = {picture.digest for picture in manifest.of_split("val")}
    pairs = []
    for group in copies.across_splits(manifest.pictures):
        of_split = {split: [p for p in group if p.split == split] for split in ("train", "val", "test")}
        if of_split["val"] and not of_split["train"]:
            tested = [p for p in of_split["test"] if p.label is not None and p.digest not in chosen_by]
            pairs += [(picture, _nearest(picture, of_split["val"], copies)) for picture in tested]
    if pairs:
        yield (
            f"{count(len(pairs), 'test image')} {'is a copy' if len(pairs) == 1 else 'are copies'} of validation "
            f"images, though not byte for byte, such as {_example(*pairs[0], copies)}: what is chosen by validation "
            f"knows them; {_command(manifest)} lists them"
        )


def _between_folds(manifest: Manifest, copies: SamePictures) -> Iterator[str]:
    """Yield a line if there are copies that folds may divide: they keep together what has the same bytes."""
    groups = [group for group in copies.groups(manifest.pictures) if len({picture.digest for picture in group}) > 1]
    if groups:
        first, *others = groups[0]
        other = next(picture for picture in others if picture.digest != first.digest)
        images = count(sum(map(len, groups)), "image")
        yield (
            f"{images} {'are' if len(groups) == 1 else 'in all are'} copies of each other, though not byte for byte, "
            f"such as {_example(first, other, copies)}: folds may divide them, and the accuracy is too high by their "
            f"share; {_command(manifest)} lists them"
        )


def _nearest(picture: Picture, others: Sequence[Picture], copies: SamePictures) -> Picture:
    """Return the one of `others` that is most like `picture`; the first, if only a third picture joins them."""
    ties = [(match.score if (match := copies.between(picture, other)) else 0.0) for other in others]
    return others[ties.index(max(ties))]


def _example(picture: Picture, other: Picture, copies: SamePictures) -> str:
    match = copies.between(picture, other)
    how = f" ({', '.join(match.changes)})" if match and match.changes else ""
    return f"{picture.path} and {other.path}{how}"


def _not_looked_for(manifest: Manifest) -> str:
    images = count(len(manifest), "image")
    return f"near copies between splits were not looked for among {images}: {_command(manifest)} does"


def _command(manifest: Manifest) -> str:
    return f"`featstore audit {shlex.quote(manifest.source)}`"
