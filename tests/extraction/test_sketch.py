"""The sketch of a row: small, the same on every machine, and distances are preserved."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from featstore.extraction.sketch import WIDTH, fingerprint, from_text, make_sketch, relative_difference, to_text


def rows(length: int, count: int = 1) -> np.ndarray:
    """Return rows like features: not negative, many zero."""
    return np.random.default_rng(length).normal(size=(count, length)).clip(0).astype(np.float32)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def test_short_rows_are_kept_whole() -> None:
    """Up to 256 numbers need no folding."""
    [row] = rows(WIDTH)
    assert np.array_equal(make_sketch(row), row)
    assert np.array_equal(make_sketch(row.reshape(4, 8, 8)), row)
    assert make_sketch(row).dtype == np.float32


@pytest.mark.parametrize("shape", [(257,), (1280,), (7, 7, 512), (7, 7, 2048)])
def test_distances_are_kept(shape: tuple[int, ...]) -> None:
    """They are preserved to a quarter, if all numbers change a little, or one channel of a map by much."""
    [row] = rows(int(np.prod(shape)))
    row = row.reshape(shape)
    assert make_sketch(row).shape == (WIDTH,)
    noisy = row + np.random.default_rng(0).normal(0, 1e-3, shape).astype(np.float32)
    channel = row.copy()
    channel[..., 5] += 0.01
    for moved in (noisy, channel, row * np.float32(1.001)):
        expected = relative(row, moved)
        assert relative_difference(make_sketch(row), make_sketch(moved)) == pytest.approx(expected, rel=0.25)


def test_the_error_of_a_distance_is_a_few_percent() -> None:
    """Theory gives 4 % for 256 sums, for the length of one vector; here it is measured over many pairs."""
    pairs = rows(5000, 100).reshape(50, 2, 5000)
    ratios = [np.linalg.norm(make_sketch(a) - make_sketch(b)) / np.linalg.norm(a - b) for a, b in pairs]
    assert np.std(ratios) < 0.06
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)


def test_the_sketch_never_changes() -> None:
    """Other random numbers, from another release of numpy, would not fit the sketches in caches."""
    found = make_sketch(np.arange(1000, dtype=np.float32))
    assert found[:8].tolist() == [-791.0, -83.0, -1272.0, 1396.0, 602.0, 473.0, 111.0, 319.0]
    assert hashlib.sha256(found.astype("<f4").tobytes()).hexdigest()[:16] == "d6a802240c80d9f6"


def test_differences_of_what_cannot_be_divided() -> None:
    """Rows of zeros are equal or infinitely far; rows of different lengths come from different networks."""
    zeros, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert relative_difference(zeros, zeros) == 0
    assert relative_difference(zeros, ones) == float("inf")
    assert relative_difference(ones, ones[:2]) == float("inf")
    assert relative_difference(ones, zeros) == 1


def test_the_fingerprint_shows_what_matters() -> None:
    """Rounding does not change it; a real difference or a missing image does; the sign of zero does not count."""
    sketches = [make_sketch(row) for row in rows(1024, 4)]
    kept = fingerprint([*sketches, None])
    assert len(kept) == 8
    noise = 1 + 1e-7 * np.random.default_rng(0).normal(size=WIDTH).astype(np.float32)
    assert fingerprint([*(numbers * noise for numbers in sketches), None]) == kept
    for other in (sketches[0] + 1e-3 * sketches[1], 1.001 * sketches[0]):
        assert fingerprint([other.astype(np.float32), *sketches[1:], None]) != kept
    assert fingerprint(sketches) != kept
    assert fingerprint([-np.zeros(4, np.float32)]) == fingerprint([np.zeros(4, np.float32)])


def test_numbers_as_text() -> None:
    """The text is exact and has one line; any other text is refused."""
    [row] = rows(100)
    text = to_text(row)
    assert "\n" not in text
    assert np.array_equal(from_text(text), row)
    for damaged in ("*", text[:-3], to_text(np.array([np.nan], np.float32)), "AAA="):
        with pytest.raises(ValueError):
            from_text(damaged)
