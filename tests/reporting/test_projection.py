"""The map: repeatable, alike images together, and something to show for any features."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from featstore.reporting.projection import project

RNG = np.random.default_rng(0)
TWO_KINDS = np.concatenate([RNG.normal(0, 1, (40, 64)), RNG.normal(4, 1, (40, 64))]).astype(np.float32)


def test_images_that_are_alike_are_near_each_other() -> None:
    places = project(TWO_KINDS)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances[:40].argmin(axis=1) < 40).all()
    assert (distances[40:].argmin(axis=1) >= 40).all()


def test_the_same_images_have_the_same_map_whatever_the_number_of_threads() -> None:
    """t-SNE turns the last digit of a sum into another map, and sums of several threads come in any order."""
    with threadpool_limits(2):
        first = project(TWO_KINDS)
    with threadpool_limits(1):
        assert np.array_equal(project(TWO_KINDS), first)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 12])
@pytest.mark.parametrize("width", [1, 3, 64])
def test_few_images_and_narrow_features_have_a_map(n: int, width: int) -> None:
    places = project(TWO_KINDS[:n, :width])
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert places.min() >= -1e-9
    assert places.max() <= 1 + 1e-9
    if n > 1:
        assert np.ptp(places, axis=0).max() == pytest.approx(1)


@pytest.mark.parametrize("value", [1, 0.37])
def test_images_that_are_all_the_same_are_in_the_middle(value: float) -> None:
    """Also where rounding keeps the deviation of their features above 0."""
    assert (project(np.full((80, 48), value, np.float32)) == 0.5).all()


@pytest.mark.parametrize("size", [1e-30, 1e-4, 1e30])
def test_features_of_any_size_have_a_map(size: float) -> None:
    """t-SNE crashes on what is not a number, such as the square of a small one in float32."""
    places = project(TWO_KINDS * np.float32(size))
    assert np.isfinite(places).all()
    assert np.ptp(places, axis=0).max() == pytest.approx(1)


def test_copies_of_one_image_and_another_one_have_a_map() -> None:
    features = np.ones((40, 8), np.float32)
    features[7] = 2
    assert np.isfinite(project(features)).all()
