"""The fine comparison: the middle of one image is searched in the other, 96 px, at 13 scales: 2 ms for a pair.

The score is a normalised correlation, which has a scale of its own: 1 for the same picture, whatever its brightness
and contrast. So one threshold serves all sets of photos, where that of cosines of features would differ by set.
Where an image has few details, `sparse` says what else counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.copies.outline import FLOOR, details, resizing
from featstore.copies.pairs import Pairs
from featstore.copies.sketch import SIDE
from featstore.copies.sparse import alike_in_brightness, are_sparse, one_holds_the_other
from featstore.copies.turns import TURNS, turned
from featstore.system.environment import default_threads

SCALES = tuple(0.75 * (4 / 3 / 0.75) ** (step / 12) for step in range(13))  # 3/4 to 4/3: crops of 75 %
_SLOW = 0.03  # share of the side: at 0.06, dandelions on dark ground score up to 0.92, at 0.03 up to 0.84
_TEMPLATE = round(0.6 * SIDE)
_MIDDLE = (SIDE - _TEMPLATE) // 2
_AT_ONCE = 64  # pairs: 2.5 MB for each scale
_LIKELY = 0.7  # score from which a pair can be taken for one picture


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
        there, back = _fit(greys[used], here), _fit(greys[used], here.swapped())
        forward = there.score >= back.score
        fits.append((np.maximum(there.score, back.score), np.where(forward, there.scale, 1 / back.scale)))
    scores, scales = zip(*fits, strict=True) if fits else ((), ())
    return Fits(*(np.concatenate([np.empty(0, np.float32), *parts]) for parts in (scores, scales)))


def _fit(greys: NDArray[np.uint8], pairs: Pairs) -> Fits:
    """Return how well the middle of the first image fits into the second."""
    from scipy.fft import irfft2, rfft2

    threads = default_threads()
    shown = details(greys, SIDE, _SLOW)
    middle = _middle_of(shown)
    spectra = rfft2(shown, workers=threads)[pairs.second]
    sums, squares = _running_sums(shown), _running_sums(shown**2)
    score, at = np.full(len(pairs), -1, np.float32), np.ones(len(pairs), np.float32)
    corner = np.zeros((len(pairs), 2), np.intp)
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
        fits = (found / length[pairs.second]).reshape(len(pairs), -1)
        place = fits.argmax(axis=1)
        best = fits[np.arange(len(pairs)), place]
        better = best > score
        corner[better] = np.stack(np.divmod(place[better], SIDE - side + 1), axis=1)
        at = np.where(better, np.float32(scale), at)
        score = np.maximum(best, score)
    for n in np.flatnonzero((score >= _LIKELY) & are_sparse(middle)[pairs.first]):
        score[n] = min(score[n], _sparse_score(greys, pairs.some(slice(n, n + 1)), float(at[n]), *corner[n].tolist()))
    return Fits(score, at)


def _middle_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
    return images[:, _MIDDLE : _MIDDLE + _TEMPLATE, _MIDDLE : _MIDDLE + _TEMPLATE]


def _sparse_score(greys: NDArray[np.uint8], pair: Pairs, scale: float, row: int, column: int) -> float:
    """Return the score of a pair with few details, whose first image has its middle at a place of the second one."""
    side, before = round(_TEMPLATE * scale), _MIDDLE * scale
    if not one_holds_the_other((row - before, column - before), SIDE * scale):
        return 0.0
    resize = resizing(_TEMPLATE, side)
    middle = np.asarray(resize @ _middle_of(greys[pair.first].astype(np.float32)) @ resize.T, np.float32)
    window = greys[pair.second[0], row : row + side, column : column + side].astype(np.float32)
    return alike_in_brightness(turned(middle, int(pair.turn[0]))[0], window)


def _running_sums(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sums (n, side + 1, side + 1) of all that is above and left of each place."""
    return np.pad(images, ((0, 0), (1, 0), (1, 0))).astype(np.float64).cumsum(axis=1).cumsum(axis=2)


def _windows(running: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sums over all windows of `side` px."""
    top, bottom = running[:, :-side], running[:, side:]
    return bottom[:, :, side:] - bottom[:, :, :-side] - top[:, :, side:] + top[:, :, :-side]
