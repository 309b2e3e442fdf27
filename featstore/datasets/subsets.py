"""Smaller training sets: subsets of the training split, each within the next larger one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from featstore.datasets.manifest import Manifest
from featstore.datasets.splits import hash_number
from featstore.datasets.units import unit_names


def nested_subsets(manifest: Manifest, shares: Sequence[float], draw: int) -> list[Manifest]:
    """Return the manifest once for each of `shares`, with this share of the training images of each class.

    The rest of the training images has no split. All other splits are as they were. A larger share has all images of a
    smaller one. Copies and groups stay together, so a share may be exceeded by a part of a group. Another `draw` takes
    other images; what is drawn depends on the contents alone.
    """
    places = [i for i, p in enumerate(manifest.pictures) if p.split == "train" and p.label is not None]
    names = unit_names([manifest.pictures[i] for i in places])
    of_unit: dict[str, list[int]] = defaultdict(list)
    for place, name in zip(places, names, strict=True):
        of_unit[name].append(place)
    in_order = sorted(of_unit, key=lambda name: hash_number(name, draw + 1))
    sizes = Counter(manifest.pictures[i].class_name for i in places)
    subsets = []
    for share in shares:
        wanted = {label: max(1, round(share * size)) for label, size in sizes.items()}
        taken: Counter[str] = Counter()
        kept: set[int] = set()
        for name in in_order:
            labels = Counter(manifest.pictures[i].class_name for i in of_unit[name])
            if any(taken[label] < wanted[label] for label in labels):
                taken.update(labels)
                kept.update(of_unit[name])
        left_out = set(places) - kept
        subsets.append(
            manifest.with_pictures(
                [p._replace(split=None) if i in left_out else p for i, p in enumerate(manifest.pictures)]
            )
        )
    return subsets
