"""Frozen convolutional bases: where they come from, how they are built and cut, and how they run.

`source` and `keras_file` are light; `tiny`, `build`, `cut` and `network` load TensorFlow.
"""
