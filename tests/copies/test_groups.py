"""Groups of the same picture: which images count as one, and which groups are leaks, conflicts and duplicates."""

from __future__ import annotations

from featstore.copies.groups import Match, SamePictures, most_alike_first
from featstore.datasets.manifest import Picture
from featstore.system.files import FileStat

STAT = FileStat(1, 1, 1, 1)


def picture(name: str, digest: str, split: str = "train", label: str = "cat", group: str | None = None) -> Picture:
    return Picture(name, STAT, label, split, group, digest)


def same(*pairs: str) -> SamePictures:
    """Near copies of the files with these digests, each of one letter: `ab` is a and b."""
    return SamePictures(tuple(Match(pair[0], pair[1], "near", 0.9) for pair in pairs), 0.85)


def test_copies_of_a_copy_are_one_unit() -> None:
    """Matches chain; a picture without any is a unit of its own."""
    names = same("ab", "bc").unit_names([picture(x, x) for x in "abcd"])
    assert names[0] == names[1] == names[2] != names[3]


def test_copies_join_groups_of_the_manifest() -> None:
    """A film of which one frame is a copy of a photo is one unit with it."""
    names = same("ac").unit_names([picture("1", "a", group="film"), picture("2", "b", group="film"), picture("3", "c")])
    assert len(set(names)) == 1


def test_a_group_of_the_manifest_is_not_the_same_picture() -> None:
    """Frames of a film count as one unit, but are no duplicates."""
    frames = [picture("1", "a", group="film"), picture("2", "b", group="film")]
    assert same().groups(frames) == []


def test_of_all_groups_only_those_across_splits_leak() -> None:
    """Byte copies count as well as near ones."""
    pictures = [
        picture("1", "a"),
        picture("2", "a", "test"),  # byte for byte, across splits
        picture("3", "b"),
        picture("4", "c", label="dog"),  # near, across labels
        picture("5", "d"),
        picture("6", "e"),  # near, within
        picture("7", "f"),
    ]
    copies = same("bc", "de")

    def paths(groups: list[tuple[Picture, ...]]) -> list[str]:
        return ["".join(p.path for p in group) for group in groups]

    assert paths(copies.across_splits(pictures)) == ["12"]
    assert paths(copies.groups(pictures)) == ["12", "34", "56"]


def test_how_two_pictures_are_the_same_is_told() -> None:
    a, b, c = (picture(x, x) for x in "abc")
    copies = SamePictures((Match("a", "b", "near", 0.9, ("mirrored", "cropped")),), 0.85)
    found = copies.between(b, a)
    assert found is not None and found.describe() == "a near copy, mirrored and cropped"
    twin = copies.between(a, a._replace(path="other"))
    assert twin is not None and twin.kind == "bytes"
    assert copies.between(a, c) is None


def test_the_order_of_matches_does_not_depend_on_the_order_they_were_found_in() -> None:
    """The most alike come first; of equal ones those with the same pixels."""
    near, pixels, other = (
        Match("a", "b", "near", 1.0),
        Match("c", "d", "pixels", 1.0),
        Match("a", "c", "near", 0.9),
    )
    assert most_alike_first([other, near, pixels]) == most_alike_first([pixels, other, near]) == (pixels, near, other)
