"""Engines: what runs a frozen base. Each gives a `Network`, a function from images to features.

`choice`, `network` and `self_test` are light; `tensorflow` and `products` load TensorFlow.
"""
