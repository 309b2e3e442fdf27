"""Engines: what runs a frozen base. Each gives a `Network`, a function from images to features.

`load` is the way in, and `trial` chooses where nothing was asked for. `conversion`, `products`, `tensorflow` and
`trial` load TensorFlow; the others load nothing, or OpenVINO when they are called.
"""
