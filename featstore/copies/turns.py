"""Turns: the eight ways in which a square can lie, four rotations of it and four of its mirror image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UPRIGHT, MIRRORED = 0, 4
TURNS = range(8)  # the number of quarter turns to the left, and 4 more if the image was mirrored before


def turned(images: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Return square `images` (n, side, side) turned."""
    import numpy as np

    return np.rot90(images[:, :, ::-1] if turn >= MIRRORED else images, turn % 4, (1, 2))


def undone(turns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the turn (n,) that undoes each of `turns` (n,). A mirror image undoes itself, however it is rotated."""
    import numpy as np

    return np.where(turns < MIRRORED, -turns % 4, turns)


def in_words(turn: int) -> tuple[str, ...]:
    """Return what was done to a picture: `mirrored`, `rotated`, both or nothing."""
    return ("mirrored",) * (turn >= MIRRORED) + ("rotated",) * (turn % 4 != 0)
