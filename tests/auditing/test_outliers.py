"""Outliers: images unlike all others are listed, and an even crowd has none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from featstore.auditing import outliers
from featstore.auditing.findings import Check
from featstore.auditing.outliers import check_outliers, neighbour_distances, robust_deviations


def crowd(n: int = 300, seed: int = 0) -> np.ndarray:
    """Return rows (n, 16) in all of which the first 12 numbers are large."""
    X = np.abs(np.random.default_rng(seed).normal(size=(n, 16)))
    X[:, 12:] *= 0.1
    return (X + np.repeat([3, 0], [12, 4])).astype(np.float32)


def strangers(n: int, seed: int = 1) -> np.ndarray:
    """Return rows that point elsewhere, each to a side of its own."""
    X = crowd(n, seed)
    X[np.arange(n), 12 + np.arange(n) % 4] += 20
    return X


def check(X: np.ndarray, units: list[str] | None = None, y: np.ndarray | None = None) -> Check:
    """Check images that are named by their number."""
    subject: Any = SimpleNamespace(
        X=X,
        y=np.zeros(len(X), np.intp) if y is None else y,
        units=tuple(units or map(str, range(len(X)))),
        labelled=tuple(SimpleNamespace(path=str(place)) for place in range(len(X))),
        seed=0,
    )
    return check_outliers(subject)


def listed(found: Check) -> list[int]:
    return [int(finding.paths[0]) for finding in found.findings]


def test_strangers_are_listed_the_farthest_first() -> None:
    found = check(np.concatenate([crowd(), strangers(4)]))
    assert set(listed(found)) == {300, 301, 302, 303}
    scores = [finding.score for finding in found.findings]
    assert scores == sorted(scores, reverse=True) and min(scores) > outliers.CUT
    assert found.weight == "look" and "4 images of 304 are unlike all others" in found.verdict


def test_an_even_crowd_has_none() -> None:
    found = check(crowd())
    assert not found.findings and found.weight == "fine"


def test_copies_do_not_keep_each_other_company() -> None:
    """A stranger that is there twelve times has its copies around it, and is as lonely as before."""
    X = np.concatenate([crowd(), np.repeat(strangers(1), 12, axis=0)])
    apart = [str(k) for k in range(len(X))]
    assert not listed(check(X, apart))
    assert set(listed(check(X, [*apart[:300], *["same"] * 12]))) >= set(range(300, 312))


def test_a_small_class_is_not_a_class_of_outliers() -> None:
    """Five images that are like each other and like no others; under the label of the rest they are outliers."""
    X = np.concatenate([crowd(), np.repeat(strangers(1), 5, axis=0)])
    X[300:] += np.random.default_rng(3).normal(0, 0.5, size=(5, 16))
    assert set(listed(check(X))) >= set(range(300, 305))
    assert not listed(check(X, y=np.repeat([0, 1], [300, 5])))


def test_numbers_of_any_size_have_a_distance() -> None:
    X = np.concatenate([crowd(), strangers(4)])
    usual = listed(check(X))
    assert set(listed(check(X * np.float32(1e30)))) == set(listed(check(X * np.float32(1e-30)))) == set(usual)


def test_distances_are_those_of_all_pairs() -> None:
    X = crowd(60)
    rows = X / np.linalg.norm(X, axis=1, keepdims=True)
    distances = 1 - (rows @ rows.T).astype(float)
    np.fill_diagonal(distances, np.inf)
    by_hand = np.sort(distances, axis=1)[:, :10].mean(axis=1)
    assert np.allclose(neighbour_distances(X, [str(k) for k in range(60)], np.full(60, 10), 0), by_hand, atol=1e-6)


def test_of_many_images_some_are_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outliers, "_MOST_COMPARED", 100)
    assert set(listed(check(np.concatenate([crowd(), strangers(4)])))) >= {300, 301, 302, 303}


def test_deviations_are_robust() -> None:
    """By hand: median 3, median absolute deviation 1."""
    assert np.allclose(robust_deviations(np.array([1.0, 2, 3, 4, 1000])), 0.6745 * np.array([-2, -1, 0, 1, 997]))
    assert not robust_deviations(np.ones(5)).any()


@pytest.mark.parametrize("X", [np.zeros((100, 4), np.float32), np.ones((100, 4), np.float32)])
def test_images_without_any_difference_have_no_outlier(X: np.ndarray) -> None:
    assert not check(X).findings


def test_of_few_images_nothing_is_said() -> None:
    found = check(crowd(30))
    assert found.weight == "note" and "too few" in found.verdict
