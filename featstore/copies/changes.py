"""How two near copies differ, in words, where it is known without another look at the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featstore.copies.turns import in_words

if TYPE_CHECKING:
    from featstore.copies.near import Near
    from featstore.images.facts import ImageFacts

_BRIGHTNESS = 10  # levels, which JPEG does not move a mean by


def name_changes(near: Near, first: ImageFacts, second: ImageFacts) -> tuple[str, ...]:
    """Return what was done to one of two pictures to make the other, such as `mirrored` and `cropped`.

    Which of the two came first is not known.
    """
    is_whole = near.is_whole
    changes = [
        *in_words(near.turn),
        *["with a border"] * near.framed,
        *["cropped"] * (not is_whole and not near.framed),
        *["resized"] * (is_whole and not near.framed and _size(first, near.turn) != (second.width, second.height)),
        *["brighter or darker"] * (is_whole and abs(first.mean - second.mean) > _BRIGHTNESS),
    ]
    is_encoded_again = (first.format, first.quality) != (second.format, second.quality)
    return tuple(changes or ["saved again"] * is_encoded_again)


def _size(facts: ImageFacts, turn: int) -> tuple[int, int]:
    return (facts.height, facts.width) if turn % 2 else (facts.width, facts.height)
