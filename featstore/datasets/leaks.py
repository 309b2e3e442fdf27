"""Leaks: held-out images that were also trained on, or that share a group with such images."""

from __future__ import annotations

from collections.abc import Mapping

from featstore.datasets.manifest import SPLITS, Manifest, Picture
from featstore.system.text import count


def leak_notes(manifest: Manifest) -> tuple[str, ...]:
    """Return a line if copies of a training image are in another split, and one if groups are."""
    notes = []
    if shared := shared_between_splits(manifest):
        trained, held_out = shared[0]
        notes.append(
            f"{len(shared)} held-out images are byte for byte in the training split too, such as {held_out.path} and "
            f"{trained.path}: the accuracy is too high by their share"
        )
    if divided := _divided_groups(manifest):
        notes.append(
            f"{count(len(divided), 'group')} with images in the training split and in another, such as {divided[0]}: "
            "the accuracy is too high if the images of a group are alike"
        )
    return tuple(notes)


def _divided_groups(manifest: Manifest) -> list[str]:
    """Return the names of the groups that the data set itself has in the training split and in another one."""
    groups = {split: {p.group for p in manifest.of_split(split)} - {None} for split in SPLITS}
    return sorted(filter(None, groups["train"] & (groups["val"] | groups["test"])))


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


def shared_between_splits(manifest: Manifest) -> list[tuple[Picture, Picture]]:
    """Return the pairs of a training picture and a held-out one with the same bytes."""
    trained = {p.digest: p for p in manifest.of_split("train")}
    held_out = (p for p in manifest.pictures if p.split in ("val", "test"))
    return [(trained[p.digest], p) for p in held_out if p.digest in trained]
