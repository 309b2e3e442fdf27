"""The reading `keras-compat`: the pixels of `keras.utils.image_dataset_from_directory`.

Many published Keras figures were measured with these pixels: TensorFlow's fast and slightly biased JPEG decoder, no
EXIF orientation, no antialiasing, and float32 after resizing. It needs TensorFlow, and reads JPEG, PNG, GIF and BMP.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.decode import frame_count, open_image
from featstore.images.probing import change_image
from featstore.images.reading import Reading
from featstore.system.limits import max_pixels

_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP")


def read_like_keras(raw: bytes, reading: Reading) -> NDArray[np.float32]:
    """Return RGB pixels (height, width, 3), float32 in 0..255, not rounded; raise UnreadableImage.

    Pillow checks the header first: TensorFlow has no limit on the size that a header may declare.
    """
    _check(open_image(raw))
    try:
        image = tf.io.decode_image(raw, channels=3, expand_animations=False)
        if reading.probe:
            image = tf.constant(np.asarray(change_image(Image.fromarray(image.numpy()), reading.probe)))
        return np.asarray(_resize(image, reading), np.float32)
    except tf.errors.InvalidArgumentError as error:
        raise UnreadableImage(f"cannot be decoded by TensorFlow: {_first_sentence(error)}") from error


def _check(image: Image.Image) -> None:
    if image.format not in _FORMATS:
        raise UnreadableImage(f"is {image.format}, which TensorFlow does not decode: use the reading pillow")
    if image.format == "GIF" and image.width * image.height * frame_count(image) > max_pixels():
        raise UnreadableImage("is a long animation, which TensorFlow decodes whole: use the reading pillow")


def _resize(image: tf.Tensor, reading: Reading) -> tf.Tensor:
    """Resize with the functions that Keras' own loader calls; `keras.ops.image.resize` would round to whole levels."""
    size = reading.height, reading.width
    if reading.fit == "pad":
        return tf.image.resize_with_pad(image, *size, method=reading.interpolation)
    if reading.fit == "crop":
        return keras.preprocessing.image.smart_resize(
            image, size, interpolation=reading.interpolation, data_format="channels_last"
        )
    return tf.image.resize(image, size, method=reading.interpolation)


def _first_sentence(error: tf.errors.OpError) -> str:
    text = str(error.message).split("[Op:")[0]
    return " ".join(text.split("}}")[-1].split())
