"""The first BatchNormalization of a network, and the mismatch of images with its statistics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from featstore.base_check.batchnorm import FirstNormalization

IMAGES = np.random.default_rng(0).normal(3, 2, (40, 4, 4, 3)).astype("float32")
RANDOM = np.random.default_rng(1)


def normalized(statistics: Any = IMAGES) -> Any:
    """A network of its own that normalizes pixels, and was trained with these images."""
    inputs = keras.Input((4, 4, 3))
    normalization = keras.layers.BatchNormalization()
    model = keras.Model(inputs, normalization(inputs))
    normalization.moving_mean.assign(statistics.mean(axis=(0, 1, 2)))
    normalization.moving_variance.assign(statistics.var(axis=(0, 1, 2)))
    return model


def nested(base: Any, depth: int) -> Any:
    """The network as a layer of a layer, behind a scaling and before another normalization."""
    for _ in range(depth):
        inputs = keras.Input((4, 4, 3))
        x = base(keras.layers.Rescaling(0.5)(inputs))
        base = keras.Model(inputs, keras.layers.BatchNormalization()(x))
    return base


@pytest.mark.parametrize("flat", [True, False])
def test_what_batch_normalization_remembers_may_be_of_vectors(flat: bool) -> None:
    """A user's network may normalize vectors before any map; the divergence of equal statistics is 0."""
    inputs = keras.Input((4, 4, 3))
    rows = IMAGES.reshape(40, -1) if flat else IMAGES.reshape(-1, 3)
    normalization = keras.layers.BatchNormalization()
    model = keras.Model(inputs, normalization(keras.layers.Flatten()(inputs) if flat else inputs))
    normalization.moving_mean.assign(rows.mean(axis=0))
    normalization.moving_variance.assign(rows.var(axis=0))
    first = FirstNormalization(model, (4, 4, 3))
    assert first.is_trained
    assert first.mismatch(IMAGES) == pytest.approx(0, abs=1e-4)
    assert first.mismatch(IMAGES * 2) > 0.5


@pytest.mark.parametrize("depth", [1, 2])
def test_a_base_that_is_a_layer_is_looked_into(depth: int) -> None:
    """What stands before it in the outer network counts: pixels arrive there scaled."""
    first = FirstNormalization(nested(normalized(), depth), (4, 4, 3))
    assert first.mismatch(IMAGES * 2**depth) == pytest.approx(0, abs=1e-4)
    assert first.mismatch(IMAGES) > 0.1


def test_the_first_in_the_order_of_computing_counts() -> None:
    """In a Sequential as well; the network itself is left as it was."""
    base = normalized()
    model = keras.Sequential([keras.Input((4, 4, 3)), base, keras.layers.BatchNormalization()])
    first = FirstNormalization(model, (4, 4, 3))
    assert first.is_trained
    assert first.mismatch(IMAGES) == pytest.approx(0, abs=1e-4)
    assert "call" not in vars(base.layers[1])
    assert np.isfinite(np.asarray(model(IMAGES))).all()


def test_a_network_without_one_and_one_that_was_never_trained_are_told_apart() -> None:
    """Fresh statistics are 0 and 1, those of no data."""
    inputs = keras.Input((4, 4, 3))
    assert FirstNormalization(keras.Model(inputs, keras.layers.ReLU()(inputs)), (4, 4, 3)).is_trained is None
    fresh = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    assert FirstNormalization(fresh, (4, 4, 3)).is_trained is False
