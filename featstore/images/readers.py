"""Readers: functions from the bytes of an image file to pixels, by the rules of a `Reading`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from featstore.images.reading import Reading
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


def make_reader(reading: Reading) -> Callable[[bytes], NDArray[Any]]:
    """Return a function from the bytes of a file to RGB pixels (height, width, 3) in 0..255: the plain view.

    The pixels are uint8 from `pillow`, float32 from `keras-compat`. The function raises UnreadableImage, and threads
    may share it.
    """
    if reading.name == "keras-compat":
        load_tensorflow()
        from featstore.images.keras_compat import read_like_keras

        return lambda raw: read_like_keras(raw, reading)
    from featstore.images.resize import fit_image

    decode = _make_decoder(reading)
    return lambda raw: fit_image(decode(raw), reading)


def make_views_reader(reading: Reading, views: Sequence[int]) -> Callable[[bytes], NDArray[Any]]:
    """Return a function from the bytes of a file to several views of the image (views, height, width, 3).

    Otherwise it is like that of `make_reader`.
    """
    if reading.augmentation is not None:
        from featstore.images.augmentation import augmented_views

        decode, ranges = _make_decoder(reading), reading.augmentation
        return lambda raw: augmented_views(decode(raw), raw, reading, ranges, views)
    if reading.resize is not None:
        from featstore.images.resize import fit_views

        decode = _make_decoder(reading)
        return lambda raw: fit_views(decode(raw), reading, views)
    read = make_reader(reading)
    return lambda raw: read(raw)[None]


def make_shared_reader(wanted: Mapping[Reading, Sequence[int]]) -> Callable[[bytes], dict[Reading, NDArray[Any]]]:
    """Return a function from the bytes of a file to its views (views, height, width, 3) by reading."""
    readers = {reading: make_views_reader(reading, views) for reading, views in wanted.items()}
    return lambda raw: {reading: read(raw) for reading, read in readers.items()}


def _make_decoder(reading: Reading) -> Callable[[bytes], Image.Image]:
    """Return a function from the bytes of a file to its RGB image, changed by the probe if there is one."""
    from featstore.images.decode import decode_rgb

    probe = reading.probe
    if probe is None:
        return lambda raw: decode_rgb(raw, reading.bits)
    from featstore.images.probing import change_image

    return lambda raw: change_image(decode_rgb(raw, reading.bits), probe)
