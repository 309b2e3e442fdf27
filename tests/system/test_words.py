"""Words in another spelling, and words of other tools."""

from __future__ import annotations

import pytest

from featstore.system.words import meant_by, spelled_as

BASES = ["VGG16", "ResNet50", "ResNet50V2", "EfficientNetB0", "EfficientNetV2B0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vgg16", "VGG16"),
        ("VGG-16", "VGG16"),
        ("resnet_50", "ResNet50"),
        ("ResNet50 v2", "ResNet50V2"),
        ("efficientnet-b0", "EfficientNetB0"),
        ("efficientnet_v2-b0", "EfficientNetV2B0"),
        ("VGG17", None),
        ("", None),
        ("--", None),
    ],
)
def test_one_name_in_any_spelling(text: str, expected: str | None) -> None:
    """Case, dashes, underlines and blanks make no difference; letters and digits do."""
    assert spelled_as(text, BASES) == expected


def test_a_name_as_it_is_known_is_itself() -> None:
    """Also beside another one of the same letters."""
    assert spelled_as("a-b", ["ab", "a-b"]) == "a-b"


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("Pool", ["pool", "model"], ["pool"]),
        ("lr", ["layer", "pool", "rate"], ["rate"]),
        ("lr", ["layer", "set"], []),
        ("image_size", ["resize", "size"], ["size"]),
        ("out", ["csv", "cache"], ["csv"]),
        ("augmentation", ["augment", "views"], ["augment", "views"]),
        ("lyer", ["layer", "pool"], ["layer"]),
        ("qqqq", ["layer", "pool"], []),
    ],
)
def test_what_a_word_may_mean(text: str, known: list[str], expected: list[str]) -> None:
    """Spelling first, then what it is called in other tools, then letters."""
    assert meant_by(text, known) == expected
