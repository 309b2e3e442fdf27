"""Perceptual hashes: 63 bits of the coarse structure of an image, which hardly change when it is saved again.

The bits say which coefficients of a cosine transform of 32 x 32 px are above their median (as in pHash, Zauner 2010).
The transform of a mirrored or turned image has the same coefficients with other signs and places, so that the hashes of
all eight turns cost no more than one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.copies.outline import shrunk
from featstore.copies.pairs import Pairs
from featstore.copies.turns import MIRRORED, TURNS

BITS = 12  # of 63 that may differ: recall of crops of 90 % is 0.7 to 0.85, and 1 for all that keeps the frame
MOST = 5  # partners of an image; drawings of digits have hundreds
_SIDE, _KEPT = 32, 8
_BLOCK = 500  # images that are compared with all others at once: 44 MB for 20,000


def alike_hashes(greys: NDArray[np.uint8], owner: NDArray[np.intp]) -> Pairs:
    """Return the pairs of `greys` (n, 96, 96) whose hashes are alike in some turn, for each the nearest few.

    owner: (n,) the image that each is a version of; two versions of one image are no pair.
    """
    coefficients = _coefficients(greys)
    upright = _signs(coefficients)
    of_turn = [_signs(_turned(coefficients, turn)) for turn in TURNS]
    found = []
    for start in range(0, len(greys), _BLOCK):
        alike = [_alike(some[start : start + _BLOCK], upright) for some in of_turn]
        first, second, distance = (np.concatenate(column) for column in zip(*alike, strict=True))
        turn = np.repeat(np.array(TURNS), [len(some[0]) for some in alike])
        is_pair = owner[first + start] != owner[second]
        found.append(_nearest(Pairs(first + start, second, turn).some(is_pair), distance[is_pair]))
    return Pairs.joined(found)


def _alike(some: NDArray[np.float32], others: NDArray[np.float32]) -> tuple[NDArray[np.intp], ...]:
    """Return the places of all pairs of two sets of hashes that differ in few bits, and in how many: a few of many."""
    distance = (others.shape[1] - some @ others.T) / 2
    first, second = np.nonzero(distance <= BITS)
    return first, second, distance[first, second].astype(np.intp)


def _nearest(pairs: Pairs, distance: NDArray[np.intp]) -> Pairs:
    """Return for each first image its nearest few partners, each in the turn that fits best."""
    in_order = np.lexsort((pairs.turn, distance, pairs.second, pairs.first))
    pairs, distance = pairs.some(in_order), distance[in_order]
    same = (pairs.first[1:] == pairs.first[:-1]) & (pairs.second[1:] == pairs.second[:-1])
    is_best = np.concatenate([[True], ~same])[: len(distance)]
    pairs, distance = pairs.some(is_best), distance[is_best]
    in_order = np.lexsort((pairs.second, distance, pairs.first))
    pairs = pairs.some(in_order)
    rank = np.arange(len(in_order)) - np.searchsorted(pairs.first, pairs.first)
    return pairs.some(rank < MOST)


def _coefficients(greys: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the lowest coefficients (n, 8, 8) of the cosine transform (DCT-II)."""
    place = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
    waves = np.cos(np.arange(_KEPT)[:, None] * place).astype(np.float32)
    return np.asarray(waves @ shrunk(greys, _SIDE) @ waves.T)


def _turned(coefficients: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Return the coefficients of the turned images: mirroring changes the sign of every other one."""
    sign = np.where(np.arange(_KEPT) % 2, -1, 1).astype(np.float32)
    if turn >= MIRRORED:
        coefficients = coefficients * sign
    for _ in range(turn % 4):
        coefficients = coefficients.swapaxes(1, 2) * sign[:, None]
    return coefficients


def _signs(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the bits (n, 63) as 1 and -1, so that a matrix product counts those that differ. The mean has no bit."""
    flat = coefficients.reshape(len(coefficients), -1)[:, 1:]
    return np.where(flat > np.median(flat, axis=1, keepdims=True), 1, -1).astype(np.float32)
