"""The fine comparison: the middle of one image is searched in the other, 96 px, at 13 scales: 2 ms for a pair.

The score is a normalised correlation, which has a scale of its own: 1 for the same picture, whatever its brightness
and contrast. So one threshold serves all sets of photos, where that of cosines of features would differ by set.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.copies.outline import FLOOR, details, resizing
from featstore.copies.pairs import Pairs
from featstore.copies.sketch import SIDE
from featstore.copies.turns import TURNS, turned
from featstore.system.environment import default_threads

SCALES = tuple(0.75 * (4 / 3 / 0.75) ** (step / 12) for step in range(13))  # 3/4 to 4/3: crops of 75 %
_SLOW = 0.03  # share of the side: at 0.06, dandelions on dark ground score up to 0.92, at 0.03 up to 0.84
_TEMPLATE = round(0.6 * SIDE)
_MIDDLE = (SIDE - _TEMPLATE) // 2
_AT_ONCE = 64  # pairs: 2.5 MB for each scale


class Fits(NamedTuple):
    """How well the images of n pairs fit: the score (n,), and the scale (n,) at which they do."""

    score: NDArray[np.float32]
    scale: NDArray[np.float32]


def best_fine(greys: NDArray[np.uint8], pairs: Pairs) -> Fits:
    """Return the best fit of each pair, in whichever direction it is better: of a crop only one side is whole."""
    fits = []
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs.some(slice(start, start + _AT_ONCE))
        used, places = np.unique([some.first, some.second], return_inverse=True)
        first, second = places.reshape(2, -1)
        here = Pairs(first, second, some.turn)
        shown = details(greys[used], SIDE, _SLOW)
        there, back = _fit(shown, here), _fit(shown, here.swapped())
        forward = there.score >= back.score
        fits.append((np.maximum(there.score, back.score), np.where(forward, there.scale, 1 / back.scale)))
    scores, scales = zip(*fits, strict=True) if fits else ((), ())
    return Fits(*(np.concatenate([np.empty(0, np.float32), *parts]) for parts in (scores, scales)))


def _fit(shown: NDArray[np.float32], pairs: Pairs) -> Fits:
    """Return how well the middle of the first image fits into the second."""
    from scipy.fft import irfft2, rfft2

    threads = default_threads()
    middle = shown[:, _MIDDLE : _MIDDLE + _TEMPLATE, _MIDDLE : _MIDDLE + _TEMPLATE]
    spectra = rfft2(shown, workers=threads)[pairs.second]
    sums, squares = _running_sums(shown), _running_sums(shown**2)
    score, at = np.full(len(pairs), -1, np.float32), np.ones(len(pairs), np.float32)
    for scale in SCALES:
        side = round(_TEMPLATE * scale)
        resize = resizing(_TEMPLATE, side)
        templates = resize @ middle @ resize.T
        templates -= templates.mean(axis=(1, 2), keepdims=True)
        templates /= np.maximum(np.sqrt((templates**2).sum(axis=(1, 2), keepdims=True)), FLOOR * side)
        sought = np.empty((len(pairs), side, side), np.float32)
        for turn in TURNS:
            if (of_turn := pairs.turn == turn).any():
                sought[of_turn] = turned(templates[pairs.first[of_turn]], turn)
        product = spectra * rfft2(sought, (SIDE, SIDE), workers=threads).conj()
        # Where a window lies wholly in the image, a circular correlation is that of the window.
        found = irfft2(product, (SIDE, SIDE), workers=threads)[:, : SIDE - side + 1, : SIDE - side + 1]
        variance = _windows(squares, side) - _windows(sums, side) ** 2 / side**2
        length = np.sqrt(np.maximum(variance, (FLOOR * side) ** 2)).astype(np.float32)
        best = (found / length[pairs.second]).max(axis=(1, 2))
        at = np.where(best > score, np.float32(scale), at)
        score = np.maximum(best, score)
    return Fits(score, at)


def _running_sums(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sums (n, side + 1, side + 1) of all that is above and left of each place."""
    return np.pad(images, ((0, 0), (1, 0), (1, 0))).astype(np.float64).cumsum(axis=1).cumsum(axis=2)


def _windows(running: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sums over all windows of `side` px."""
    top, bottom = running[:, :-side], running[:, side:]
    return bottom[:, :, side:] - bottom[:, :, :-side] - top[:, :, side:] + top[:, :, :-side]
