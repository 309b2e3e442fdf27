"""Frozen convolutional bases: their sources, how they are built and cut, and how they run.

`catalog`, `source`, `keras_file`, `weights_file`, `held` and `pooling` are light. `blocks`, `build`, `cut`, `defaults`,
`keras_internals`, `network`, `products` and `tiny` load TensorFlow.
"""
