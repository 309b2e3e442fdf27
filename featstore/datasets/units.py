"""Units: the images that stay in one split, and that count as one observation, more or less."""

from __future__ import annotations

from collections.abc import Sequence

from featstore.datasets.manifest import Picture


def unit_names(pictures: Sequence[Picture]) -> list[str]:
    """Return the name of the unit of each picture, from contents and groups alone.

    Copies of one image are a unit, and so are the images of one group. Groups that have an image in common are one unit
    as well, with the name of the first. Raises DataError for an image that has not been read.
    """
    if all(picture.group is None for picture in pictures):
        return [f"digest:{picture.digest}" for picture in pictures]
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            leader[name] = name = leader.setdefault(above, above)
        return name

    for picture in pictures:
        if picture.group is not None:
            one, other = find(f"digest:{picture.digest}"), find(f"group:{picture.group}")
            # the first by name, groups before contents
            first, second = sorted((one, other), key=lambda name: (name.startswith("digest:"), name))
            leader[second] = first
    return [find(f"digest:{picture.digest}") for picture in pictures]
