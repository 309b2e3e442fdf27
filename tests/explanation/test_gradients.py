"""Grad-CAM and HiResCAM: against the exact map of a linear head, and against slopes that are measured."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from featstore.explanation.class_activation import class_activation
from featstore.explanation.contrast import Contrast
from featstore.explanation.gradients import Slopes
from featstore.heads.logistic import LogisticHead
from featstore.spec import Pool
from helpers.linear_heads import draw_head, draw_maps, pooled


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("pool", ["avg", "max", "none"])
def test_of_a_linear_head_hires_cam_is_the_exact_map(pool: Pool, classes: int) -> None:
    """Its zero and its scale included."""
    maps = draw_maps()
    head = LogisticHead()
    head._fitted = draw_head(pooled(maps, pool).shape[1], classes)
    contrast = Contrast.of(head.predict_proba(pooled(maps, pool)))
    exact = class_activation(head.as_linear(), [maps], [pool], contrast)
    network = head.network(maps.shape[1:] if pool == "none" else (6,))
    found = Slopes(network, pool, has_maps_inside=False).heat(maps, contrast, "hires-cam")
    np.testing.assert_allclose(found.cells, exact.cells, atol=1e-4)
    np.testing.assert_allclose(found.score, exact.score, atol=1e-4)


@pytest.fixture(scope="module")
def on_maps() -> keras.Model:
    """A network with a hidden layer on whole maps, and one sigmoid."""
    keras.utils.set_random_seed(3)
    rest = [layers.Flatten(), layers.Dense(8, activation="tanh"), layers.Dropout(0.5)]
    return keras.Sequential([keras.Input((3, 5, 6)), *rest, layers.Dense(1, activation="sigmoid")])


def measured_slopes(network: keras.Model, maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Slopes (n, height, width, channels) of the logit of the second class, by small steps."""
    step, slopes = 1e-2, np.zeros(maps.shape)
    for place in np.ndindex(maps.shape[1:]):
        logits = []
        for sign in (1, -1):
            moved = maps.copy()
            moved[(slice(None), *place)] += sign * step
            p = network(moved, training=False).numpy().astype(float)[:, 0]
            logits.append(np.log(p / (1 - p)))
        slopes[(slice(None), *place)] = (logits[0] - logits[1]) / (2 * step)
    return slopes


def test_the_slopes_are_those_of_the_log_odds(on_maps: keras.Model) -> None:
    """HiResCAM takes the slope of each cell, Grad-CAM the mean of the channel; no dropout, and nothing is cut off."""
    maps = draw_maps(n=2)
    slopes, contrast = measured_slopes(on_maps, maps), Contrast(np.array([1, 0]), np.array([0, 1]))
    slopes[1] *= -1  # the first class is explained against the second
    hires, grad = (
        Slopes(on_maps, "none", has_maps_inside=False).heat(maps, contrast, method)
        for method in ("hires-cam", "grad-cam")
    )
    np.testing.assert_allclose(hires.cells, 15 * (slopes * maps).sum(axis=3), atol=0.02)
    np.testing.assert_allclose(grad.cells, 15 * (slopes.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=3), atol=0.02)
    assert hires.cells.min() < 0 < hires.cells.max()


def test_the_last_map_inside_a_network_is_explained() -> None:
    """Of the trained part of a base: its output there times the weights of the head is the logit, exactly."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 8, 4))
    maps = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="conv")(inputs)
    head = keras.Sequential([keras.Input((5,)), layers.Flatten(), layers.Dense(3, activation="softmax")], name="head")
    network = keras.Model(inputs, head(layers.GlobalAveragePooling2D(name="pool")(maps)))
    rows = draw_maps(height=8, width=8, channels=4)
    contrast = Contrast.of(network(rows).numpy().astype(float))
    found = Slopes(network, "none", has_maps_inside=True).heat(rows, contrast, "hires-cam")
    kernel, bias = head.layers[-1].get_weights()
    inner = keras.Model(inputs, maps)(rows).numpy()
    expected = contrast.difference((inner @ kernel).transpose(0, 3, 1, 2))
    assert found.cells.shape == (4, 4, 4)
    np.testing.assert_allclose(found.cells, expected, atol=1e-5)
    offset = bias[contrast.labels] - bias[contrast.rivals]
    np.testing.assert_allclose(found.cells.mean(axis=(1, 2)) + offset, found.score, atol=1e-5)
