"""What a check can find."""

from __future__ import annotations

from typing import Literal, NamedTuple

Finding = Literal[
    "right",  # what the base was trained with is confirmed, and all others are worse
    "not distinguished",  # what the base was trained with is confirmed, and others are about as good here
    "another is better",  # these weights seem to be trained with another variant than the published ones
    "best of those tried",  # what the base was trained with is not known
    "labels do not fit",
    "weights do not fit",  # random, of another network, or damaged
    "nothing fits",  # weights, labels, images or variants: it cannot be told which
    "far below expected",
    "cannot tell",  # too few images, of one class, or without content
]
FEW_IMAGES = 20


class Judgement(NamedTuple):
    """A finding with the variants it is about.

    Attributes:
        finding: What was found.
        best: The variant that is named; None where none is right.
        alike: Variants that are about as good.
        wrong: Variants that are clearly worse.
        verdict: All of it in words.
    """

    finding: Finding
    best: str | None
    alike: tuple[str, ...]
    wrong: tuple[str, ...]
    verdict: str
