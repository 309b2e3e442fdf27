"""BatchNormalization that keeps its statistics, computed within the convolution below it.

It is one factor and one summand for each channel. On the kernel the factor costs nothing; on the activation, and on its
gradient, each is a pass through memory.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from featstore.bases.keras_internals import call_through_graph, graph_nodes


def fold(model: Any) -> Any:
    """Return a network of the same layers and weights with each frozen BatchNormalization in its convolution.

    Its outputs and gradients are those of `model`, to rounding. `model` itself stays as it is.
    """
    norm_of = _pairs(model)
    if not norm_of:
        return model
    folded = {id(norm) for norm in norm_of.values()}

    def replaced(operation: Any) -> Any:
        if (norm := norm_of.get(id(operation))) is not None:
            return FoldedConvolution(operation, norm)
        return _unchanged if id(operation) in folded else operation

    return keras.Model(model.inputs[0], call_through_graph(model, model.inputs, replaced))


class FoldedConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A convolution and the frozen BatchNormalization above it, as one convolution."""

    def __init__(self, convolution: Any, norm: Any) -> None:
        super().__init__(dtype="float32")
        self._convolution, self._norm = convolution, norm

    def call(self, inputs: Any) -> Any:  # named as theirs, as a network may have said it
        """Return what the two layers return one after the other."""
        layer, norm = self._convolution, self._norm
        factor = tf.math.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            factor = norm.gamma * factor
        bias = (layer.bias if layer.use_bias else 0.0) - norm.moving_mean
        bias = bias * factor + (norm.beta if norm.center else 0.0)
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            kernel = layer.kernel * tf.reshape(factor, (1, 1, *layer.kernel.shape[2:]))
            places = (layer.strides, layer.padding, layer.data_format, layer.dilation_rate)
            y = keras.ops.depthwise_conv(inputs, kernel, *places)
        else:
            y = layer.convolution_op(inputs, layer.kernel * factor)
        return tf.nn.bias_add(y, bias)


def _pairs(model: Any) -> dict[int, Any]:
    """Return by the id of each convolution the frozen BatchNormalization that alone takes its plain output."""
    nodes = graph_nodes(model)
    takers: dict[int, list[Any]] = {}
    calls: dict[int, int] = {}
    for node in nodes:
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        for parent in node.parent_nodes:
            takers.setdefault(id(parent), []).append(node)
    outputs = {id(output) for output in model.outputs}
    found = {}
    for node in nodes:
        above = takers.get(id(node), [])
        if len(above) != 1 or any(id(output) in outputs for output in node.outputs):
            continue
        layer, norm = node.operation, above[0].operation
        called_once = calls[id(layer)] == calls[id(norm)] == 1
        if called_once and _is_plain_convolution(layer) and _is_frozen_norm(norm):
            found[id(layer)] = norm
    return found


def _is_plain_convolution(layer: Any) -> bool:
    return (
        type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and layer.activity_regularizer is None
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
    )


def _is_frozen_norm(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and not layer.trainable
        and layer.activity_regularizer is None
        and layer.axis in (-1, 3)
        and layer.compute_dtype == "float32"
    )


def _unchanged(inputs: Any, **options: Any) -> Any:
    """Stand for a BatchNormalization that is folded; the options are those of its call, such as a mask."""
    return inputs
