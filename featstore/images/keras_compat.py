"""The reading `keras-compat`: pixels as `keras.utils.image_dataset_from_directory` makes them.

Many published Keras figures were made so: TensorFlow's fast and slightly biased JPEG decoder, no EXIF orientation, no
antialiasing, and pixels that stay float32 after resizing. It needs TensorFlow, and reads JPEG, PNG, GIF and BMP only.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from featstore.errors import UnreadableImage
from featstore.images.decode import open_image
from featstore.images.reading import Reading

_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP")


def read_like_keras(raw: bytes, reading: Reading) -> NDArray[np.float32]:
    """RGB pixels (height, width, 3), float32 in 0..255, not rounded; raises UnreadableImage.

    Pillow's gate comes first: TensorFlow itself has no limit on what a header may declare.
    """
    found = open_image(raw).format
    if found not in _FORMATS:
        raise UnreadableImage(f"is {found}, which TensorFlow does not decode: use --reading pillow")
    try:
        image = tf.io.decode_image(raw, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        raise UnreadableImage(f"cannot be decoded by TensorFlow: {_first_sentence(error)}") from error
    resized = keras.ops.image.resize(
        image,
        (reading.height, reading.width),
        interpolation=reading.interpolation,
        crop_to_aspect_ratio=reading.fit == "crop",
        pad_to_aspect_ratio=reading.fit == "pad",
        data_format="channels_last",
    )
    return np.asarray(resized, np.float32)


def _first_sentence(error: tf.errors.OpError) -> str:
    text = str(error.message).split("[Op:")[0]
    return " ".join(text.split("}}")[-1].split())
