"""Class activation maps: exact for every linear head, whatever pools its features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featstore.explanation.class_activation import class_activation
from featstore.explanation.contrast import Contrast
from featstore.explanation.grid import on_one_grid
from featstore.explanation.left_out import cells_left_out
from featstore.heads.linear import LinearClassifier
from featstore.spec import Pool
from helpers.linear_heads import draw_head, draw_maps, pooled


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("pool", ["avg", "max", "none"])
def test_the_mean_of_the_cells_with_the_offset_is_the_log_odds(pool: Pool, classes: int) -> None:
    """Not nearly: it is the same sum in another order."""
    maps = draw_maps()
    X = pooled(maps, pool)
    head = draw_head(X.shape[1], classes)
    probabilities = head.predict_proba(X)
    contrast = Contrast.of(probabilities)
    heat = class_activation(head, [maps], [pool], contrast)
    assert heat.offset is not None
    assert heat.cells.shape == (4, 3, 5)
    np.testing.assert_allclose(heat.cells.mean(axis=(1, 2)) + heat.offset, contrast.log_odds(probabilities), atol=1e-5)
    np.testing.assert_allclose(heat.score, contrast.log_odds(probabilities), atol=1e-5)


def test_a_cell_like_the_mean_of_the_training_images_has_no_heat() -> None:
    maps = draw_maps()
    head = draw_head(6, 2)
    maps[:, 1, 2] = head.mean
    heat = class_activation(head, [maps], ["avg"], Contrast.of(head.predict_proba(pooled(maps, "avg"))))
    assert np.abs(heat.cells[:, 1, 2]).max() < 1e-6 < np.abs(heat.cells[:, 0, 0]).min()


def test_a_maximum_belongs_to_the_cell_that_has_it() -> None:
    """One channel has a hot cell. Another is below its mean in all cells: that it is missing belongs to all of them."""
    maps = np.zeros((1, 2, 2, 2), np.float32)
    maps[0, 1, 0, 0], maps[0, 0, 0, 1] = 3, 0.5
    head = LinearClassifier(np.array([0.0, 1.0]), np.ones(2), np.array([[1.0, 4.0]]), np.zeros(1), 1.0, 9)
    heat = class_activation(head, [maps], ["max"], Contrast(np.array([1]), np.array([0])))
    assert heat.cells[0].tolist() == [[-2, -2], [4 * 3 - 2, -2]]


def test_maps_of_several_bases_add_up_on_the_finest_grid() -> None:
    """3x5 and 4x4 cells become 4x5, and the mean still is the score."""
    maps = [draw_maps(), draw_maps(height=4, width=4, channels=3, seed=5)]
    X = np.hstack([pooled(maps[0], "avg"), pooled(maps[1], "max")])
    head = draw_head(9, 3)
    contrast = Contrast.of(head.predict_proba(X))
    heat = class_activation(head, maps, ["avg", "max"], contrast)
    assert heat.cells.shape == (4, 4, 5)
    np.testing.assert_allclose(heat.score, contrast.log_odds(head.predict_proba(X)), atol=1e-5)


def test_a_finer_grid_of_the_same_cells_repeats_them() -> None:
    coarse = np.arange(6.0).reshape(1, 2, 3)
    finer = on_one_grid([coarse, np.zeros((1, 4, 3))])
    assert finer.tolist() == coarse.repeat(2, axis=1).tolist()


def test_the_rival_is_the_most_probable_other_class() -> None:
    probabilities = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])
    answers = Contrast.of(probabilities)
    assert (answers.labels.tolist(), answers.rivals.tolist()) == ([0, 1], [2, 2])
    last = Contrast.of(probabilities, label=2)
    assert (last.labels.tolist(), last.rivals.tolist()) == ([2, 2], [0, 1])
    np.testing.assert_allclose(last.log_odds(probabilities), np.log([0.3 / 0.5, 0.3 / 0.6]))


@pytest.mark.parametrize("pool", ["avg", "max", "none"])
def test_a_cell_that_is_left_out_is_really_gone(pool: Pool) -> None:
    """The same by hand: a map of which one cell is missing, or is the mean of the others."""
    maps = draw_maps(n=2)  # too few cells for neighbours
    head = draw_head(pooled(maps, pool).shape[1], 3)
    contrast = Contrast.of(head.predict_proba(pooled(maps, pool)))

    def predict(X: NDArray[Any]) -> NDArray[np.float64]:
        return head.predict_proba(X.reshape(len(X), -1))

    heat = cells_left_out(predict, maps, pool, contrast)
    others = np.delete(maps.reshape(2, 15, 6), 7, axis=1)
    without = others[:, None]
    if pool == "none":
        without = maps.copy()
        without[:, 1, 2] = others.mean(axis=1)
    expected = heat.score - contrast.log_odds(head.predict_proba(pooled(without, pool)))
    np.testing.assert_allclose(heat.cells[:, 1, 2], expected, atol=1e-5)


def test_what_is_left_out_of_an_average_ranks_as_the_exact_map() -> None:
    """Of a linear head both are the same but for the zero: the mean of the image is in one of them."""
    maps = draw_maps()
    head = draw_head(6, 2)
    contrast = Contrast.of(head.predict_proba(pooled(maps, "avg")))
    exact = class_activation(head, [maps], ["avg"], contrast).cells
    left_out = cells_left_out(head.predict_proba, maps, "avg", contrast).cells
    np.testing.assert_allclose(left_out * 14, exact - exact.mean(axis=(1, 2), keepdims=True), atol=1e-4)


def test_of_large_maps_the_neighbours_are_left_out_too() -> None:
    """One cell of many moves hardly any tree; the cells that are near are a seventh of a side away at most."""
    maps = draw_maps(n=2, height=7, width=15)
    head = draw_head(6, 2)
    contrast = Contrast.of(head.predict_proba(pooled(maps, "avg")))
    heat = cells_left_out(head.predict_proba, maps, "avg", contrast)
    gone = np.zeros((7, 15), bool)
    gone[2:5, 6:11] = True
    others = head.predict_proba(maps[:, ~gone].mean(axis=1))
    np.testing.assert_allclose(heat.cells[:, 3, 8], heat.score - contrast.log_odds(others), atol=1e-5)


def test_a_map_of_one_cell_has_no_rest_to_compare_it_with() -> None:
    maps = draw_maps(n=2, height=1, width=1)
    head = draw_head(6, 2)
    contrast = Contrast.of(head.predict_proba(pooled(maps, "avg")))
    assert cells_left_out(head.predict_proba, maps, "avg", contrast).cells.tolist() == [[[0]], [[0]]]
