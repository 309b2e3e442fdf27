"""What is to be said of images whose levels end far below white."""

from __future__ import annotations

from collections.abc import Mapping

from featstore.errors import param, spelled
from featstore.images.reading import ALL_BITS, Reading
from featstore.system.text import count


def note_on_levels(brightest: Mapping[str, int], reading: Reading) -> str:
    """Return a line if grey images of 16 bits use fewer, as X-rays and microscopes do; nothing if any uses all.

    brightest: level of each such image, by path. Scaling them without being told would be a guess: they may be dark.
    """
    most = max(brightest.values(), default=0)
    bits = max(8, most.bit_length())
    if reading.bits != ALL_BITS or not brightest or bits == ALL_BITS:
        return ""
    are = "has" if len(brightest) == 1 else "have"
    return spelled(
        f"{count(len(brightest), 'grey image')} of 16 bits {are} no level above {most:,} of 65,535, and so next to no "
        f"contrast: features with {param('bits', bits)} take {2**bits - 1:,} for white"
    )
