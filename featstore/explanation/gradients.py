"""Grad-CAM (Selvaraju et al. 2017) and HiResCAM (Draelos and Carin 2020): a map times the slope of the score there."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from featstore.bases.blocks import Blocks
from featstore.bases.keras_internals import logits_of
from featstore.explanation.contrast import Contrast
from featstore.explanation.heat import Heat
from featstore.spec import Pool


class Slopes:
    """A network from maps, or from what is pooled from them, to probabilities.

    pool: how its rows follow from maps. has_maps_inside: whether it has convolutions of its own, as the trained part of
    a base has. Its last map is then explained: nearer to the answer, and coarser, than what comes in.
    """

    def __init__(self, network: Any, pool: Pool, has_maps_inside: bool) -> None:
        self._pool = pool
        self._zero = _zero_of(network)
        graph = keras.Model(network.inputs, network.outputs)
        activation = graph.inputs[0]
        if has_maps_inside:
            maps = [place for place in Blocks(graph, graph, saved=True).separators if len(place.shape) == 3]
            activation = maps[-1].tensor if maps else activation
        self._network = keras.Model(graph.inputs, [activation, graph.outputs[0]])
        self._is_inside = activation is not graph.inputs[0]

    def heat(self, maps: NDArray[np.float32], contrast: Contrast, method: str) -> Heat:
        """Return the heat of `maps` (n, height, width, channels) by `grad-cam` or `hires-cam`.

        HiResCAM gives each cell its own slope; Grad-CAM the mean slope of each channel. Both keep what speaks against
        the class, which the papers cut off. The scale is that of class activation maps: of a linear head they are the
        same.
        """
        rows = tf.constant(maps)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            inner, output = self._network(_pooled(rows, self._pool), training=False)
            logits = tf.cast(logits_of(output), tf.float32)
            if logits.shape[1] == 1:  # of the second of two classes
                logits = tf.concat([tf.zeros_like(logits), logits], axis=1)
            score = tf.gather(logits, contrast.labels, batch_dims=1) - tf.gather(logits, contrast.rivals, batch_dims=1)
        activation = inner if self._is_inside else rows
        slope = np.asarray(tape.gradient(score, activation), np.float64)
        height, width = slope.shape[1:3]
        if method == "grad-cam":
            slope = slope.mean(axis=(1, 2), keepdims=True)
        centred = _centred(np.asarray(activation, np.float64), self._zero)
        products = slope * centred
        if self._pool == "max" and method == "hires-cam":  # what no cell has belongs to all, as in `class_activation`
            is_missing = centred.max(axis=(1, 2), keepdims=True) < 0
            products = np.where(is_missing, products.mean(axis=(1, 2), keepdims=True), products)
        return Heat(height * width * products.sum(axis=3), np.asarray(score, np.float64))


def _pooled(maps: Any, pool: Pool) -> Any:
    if pool == "none":
        return maps
    return tf.reduce_mean(maps, axis=(1, 2)) if pool == "avg" else tf.reduce_max(maps, axis=(1, 2))


def _centred(maps: NDArray[np.float64], zero: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return `maps` less what the head subtracts from its features, where these are channels or the whole map."""
    if zero is None or zero.size not in (maps.shape[3], maps[0].size):
        return maps
    return maps - (zero if zero.size == maps.shape[3] else zero.reshape(maps.shape[1:]))


def _zero_of(network: Any) -> NDArray[np.float64] | None:
    """Return the mean that a head subtracts from its flat features; None if it begins with something else."""
    head = network if isinstance(network, keras.Sequential) else network.layers[-1]
    layers = [layer for layer in getattr(head, "layers", []) if not isinstance(layer, keras.layers.InputLayer)]
    if len(layers) < 2 or not isinstance(layers[0], keras.layers.Flatten):
        return None
    if not isinstance(layers[1], keras.layers.Rescaling):
        return None
    return np.asarray(-np.asarray(layers[1].offset, np.float64) / np.asarray(layers[1].scale, np.float64))
