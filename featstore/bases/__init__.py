"""Frozen convolutional bases: their sources, and how they are built and cut.

`catalog`, `source`, `keras_file`, `weights_file`, `held` and `pooling` are light. `blocks`, `build`, `cut`, `defaults`,
`keras_internals` and `tiny` load TensorFlow.
"""
