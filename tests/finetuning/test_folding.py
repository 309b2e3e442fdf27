"""A frozen BatchNormalization within its convolution: the same outputs, gradients and penalties."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from featstore.finetuning.folding import FoldedConvolution, fold
from featstore.heads.step import Group, compile_step

L2 = keras.regularizers.L2(0.01)


def _network() -> Any:
    """Return a network with four pairs to fold, and four that must stay: shared, not linear, not frozen, penalised."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))

    def norm(x: Any, name: str, **options: Any) -> Any:
        return layers.BatchNormalization(name=name, trainable=name == "learns", **options)(x)

    x = layers.ReLU()(norm(layers.Conv2D(6, 3, 2, padding="same", use_bias=False, kernel_regularizer=L2)(image), "a"))
    x = layers.ReLU()(norm(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x), "b", scale=False))
    x = norm(layers.Conv2D(6, 1)(x), "c", center=False)
    x = norm(layers.Conv2D(6, 3, groups=2)(inputs=x), "groups")
    twice = layers.Conv2D(6, 1)(x)
    x = layers.Add()([twice, norm(twice, "shared")])
    x = norm(layers.Conv2D(6, 1, activation="relu")(x), "relu")
    x = norm(layers.Conv2D(6, 1)(x), "penalised", activity_regularizer=L2)
    x = layers.GlobalAveragePooling2D()(norm(layers.Conv2D(6, 1)(x), "learns"))
    model = keras.Model(image, layers.Dense(3, "softmax")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 0.9, w.shape).astype("float32") for w in model.get_weights()])
    return model


def test_only_a_frozen_norm_right_above_a_convolution_is_folded() -> None:
    """The layers and weights are those of the network itself."""
    model = _network()
    folded = fold(model)
    norms = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms == ["shared", "relu", "penalised", "learns"]
    assert sum(isinstance(layer, FoldedConvolution) for layer in folded.layers) == 4
    assert {id(w) for w in folded.weights} == {id(w) for w in model.weights}


def test_outputs_penalties_and_gradients_are_the_same() -> None:
    """To rounding, in training mode too."""
    model, rng = _network(), np.random.default_rng(1)
    folded, rows = fold(model), tf.constant(rng.normal(size=(5, 8, 8, 3)).astype("float32"))
    found = []
    for network in (model, folded):
        with tf.GradientTape() as tape:
            outputs = network(rows, training=False)
            loss = tf.reduce_sum(outputs[:, 0]) + tf.add_n(network.losses)
        found.append([outputs, loss, *tape.gradient(loss, [v.value for v in model.trainable_variables])])
    for plain, same in zip(*found, strict=True):
        np.testing.assert_allclose(same, plain, rtol=1e-4, atol=1e-5)


def test_a_step_moves_the_weights_of_the_network_itself() -> None:
    """And no statistics of a frozen BatchNormalization."""
    model = _network()
    before = {w.path: np.array(w) for w in model.weights}
    step = compile_step(fold(model), [Group(keras.optimizers.SGD(0.1), model.trainable_variables)])
    step(np.random.default_rng(2).normal(size=(4, 8, 8, 3)).astype("float32"), np.array([0, 1, 2, 1]))
    moved = {w.path for w in model.weights if not np.array_equal(before[w.path], np.asarray(w))}
    kernels = {v.path for v in model.trainable_variables if v.path.endswith("kernel")}
    assert kernels <= moved
    assert not any(path.startswith(("a/", "b/", "c/", "groups/", "shared/", "relu/", "penalised/")) for path in moved)


def test_a_network_without_such_a_pair_stays_as_it_is() -> None:
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(2, "softmax")(image))
    assert fold(model) is model
