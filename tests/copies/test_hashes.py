"""Perceptual hashes, turns and neighbours: what proposes a pair of images."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.copies import hashes, neighbours
from featstore.copies.hashes import alike_hashes
from featstore.copies.neighbours import nearest_by_features
from featstore.copies.pairs import Pairs
from featstore.copies.sketch import grey_of
from featstore.copies.turns import TURNS, in_words, turned, undone
from helpers.scenes import scene


def greys(*numbers: int) -> np.ndarray:
    return np.stack([grey_of(scene(number)) for number in numbers])


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_image_has_the_hash_of_that_turn(turn: int) -> None:
    """The turn is told, and it is that of the first image of the pair."""
    first, other = greys(1, 2)
    images = np.stack([first, other, turned(first[None], turn)[0]])
    found = alike_hashes(images, np.arange(3)).unique()
    assert (found.first.tolist(), found.second.tolist(), found.turn.tolist()) == ([0], [2], [turn])


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_is_undone(turn: int) -> None:
    images = greys(1).astype(np.float32)
    back = int(undone(np.array([turn]))[0])
    assert np.array_equal(turned(turned(images, turn), back), images)


def test_turns_have_words() -> None:
    assert [in_words(turn) for turn in (0, 1, 4, 6)] == [(), ("rotated",), ("mirrored",), ("mirrored", "rotated")]


def test_two_versions_of_one_image_are_no_pair() -> None:
    first = greys(1)[0]
    assert len(alike_hashes(np.stack([first, first]), np.array([0, 0]))) == 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by comparing some images at a time."""
    images = greys(*range(6), *range(6))
    X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    at_once = alike_hashes(images, np.arange(12)), nearest_by_features(X)
    for module in (hashes, neighbours):
        monkeypatch.setattr(module, "_BLOCK", 5)
    in_blocks = alike_hashes(images, np.arange(12)), nearest_by_features(X)
    for one, other in zip(at_once, in_blocks, strict=True):
        assert np.array_equal(
            np.stack([one.unique().first, one.unique().second, one.unique().turn]),
            np.stack([other.unique().first, other.unique().second, other.unique().turn]),
        )


def test_neighbours_are_nearest_without_the_mean_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all images have in common makes none of them alike."""
    monkeypatch.setattr(neighbours, "MOST", 1)
    X = np.array([[100, 1, 0], [100, 1.1, 0], [100, -1, 0.1], [100, -1, 0]], np.float32)
    found = nearest_by_features(X)
    assert found.second.tolist()[:4] == [1, 0, 3, 2]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_images_have_few_neighbours(n: int) -> None:
    X = np.eye(n, dtype=np.float32)
    assert len(nearest_by_features(X).unique()) == n * (n - 1)  # as they are and mirrored


def test_a_pair_seen_from_both_sides_is_one() -> None:
    both = Pairs(np.array([0, 1]), np.array([1, 0]), np.array([1, 3]))
    assert len(both.unique()) == 1
