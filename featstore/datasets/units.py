"""Units: the images that stay in one split, and that count as one observation, more or less."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from featstore.datasets.manifest import Picture


def unit_names(pictures: Sequence[Picture], same: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Return the name of the unit of each picture, from contents and groups alone.

    Copies of one image are a unit, and so are the images of one group. Groups that have an image in common are one unit
    as well, with the name of the first. Raises DataError for an image that has not been read.

    same: pairs of digests of different files that are the same picture all the same, and so in one unit.
    """
    pairs = list(same)
    if not pairs and all(picture.group is None for picture in pictures):
        return [f"digest:{picture.digest}" for picture in pictures]
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            leader[name] = name = leader.setdefault(above, above)
        return name

    def join(name: str, other: str) -> None:
        # the first by name, groups before contents
        first, second = sorted((find(name), find(other)), key=lambda name: (name.startswith("digest:"), name))
        leader[second] = first

    for picture in pictures:
        if picture.group is not None:
            join(f"digest:{picture.digest}", f"group:{picture.group}")
    for one, other in pairs:
        join(f"digest:{one}", f"digest:{other}")
    return [find(f"digest:{picture.digest}") for picture in pictures]
