"""What is to be said of images whose levels end far below white."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from featstore.errors import param, spelled
from featstore.images.reading import ALL_BITS, Reading
from featstore.system.text import count


class Brightest(NamedTuple):
    """The brightest level of an image of 16 bits, 0 to 65,535, and whether the image is grey."""

    level: int
    grey: bool


def notes_on_levels(brightest: Mapping[str, Brightest], reading: Reading) -> Iterator[str]:
    """Yield a line if images of 16 bits use fewer, as X-rays and microscopes do; nothing for a kind that uses all.

    brightest: of each such image, by path. Scaling them without being told would be a guess: they may be dark. The
    option reaches grey images only, as Pillow reads the upper 8 bits of colours and no more.
    """
    grey = [item.level for item in brightest.values() if item.grey]
    if reading.bits == ALL_BITS and (bits := _bits_used(grey)) < ALL_BITS:
        advice = spelled(f"features with {param('bits', bits)} take {2**bits - 1:,} for white")
        yield f"{_next_to_no_contrast('grey image', grey)}: {advice}"
    colours = [item.level for item in brightest.values() if not item.grey]
    if _bits_used(colours) < ALL_BITS:
        yield f"{_next_to_no_contrast('colour image', colours)}: save them with levels up to white"


def _bits_used(levels: list[int]) -> int:
    return max(8, max(levels).bit_length()) if levels else ALL_BITS


def _next_to_no_contrast(kind: str, levels: list[int]) -> str:
    have = "has" if len(levels) == 1 else "have"
    unused = f"no level above {max(levels):,} of 65,535, and so next to no contrast"
    return f"{count(len(levels), kind)} of 16 bits {have} {unused}"
