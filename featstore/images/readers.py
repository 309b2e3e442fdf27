"""Readers: functions from the bytes of an image file to pixels, by the rules of a `Reading`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from featstore.images.reading import Reading
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


def make_reader(reading: Reading) -> Callable[[bytes], NDArray[Any]]:
    """Return a function from the bytes of a file to RGB pixels (height, width, 3) in 0..255: the plain view.

    The pixels are uint8 from `pillow` and `fast`, float32 from `keras-compat`. The function raises UnreadableImage, and
    threads may share it.
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
    read = make_shared_reader({reading: views})
    return lambda raw: read(raw)[reading]


def make_shared_reader(wanted: Mapping[Reading, Sequence[int]]) -> Callable[[bytes], dict[Reading, NDArray[Any]]]:
    """Return a function from the bytes of a file to the views of several readings (views, height, width, 3).

    wanted: the numbers of the views by reading. Readings that decode alike share one decoding. The function raises
    UnreadableImage if one of them cannot read the file, and threads may share it.
    """
    shared: dict[Hashable, dict[Reading, Cut]] = {}
    whole: dict[Reading, Callable[[bytes], NDArray[Any]]] = {}
    for reading, views in wanted.items():
        if reading.name == "keras-compat":
            whole[reading] = make_reader(reading)
        else:
            canvas = reading.resize or (reading.height, reading.width)
            scaled = (canvas, reading.fit) if reading.decodes_scaled else None
            shared.setdefault((reading.bits, reading.probe, scaled), {})[reading] = _make_cut(reading, views)
    decoders = [(_make_decoder(next(iter(cuts))), cuts) for cuts in shared.values()]

    def read(raw: bytes) -> dict[Reading, NDArray[Any]]:
        found = {reading: read_whole(raw)[None] for reading, read_whole in whole.items()}
        for decode, cuts in decoders:
            image = decode(raw)
            found |= {reading: cut(image, raw) for reading, cut in cuts.items()}
        return found

    return read


Cut = Callable[["Image.Image", bytes], "NDArray[Any]"]  # from an RGB image, and the bytes of its file, to its views


def _make_cut(reading: Reading, views: Sequence[int]) -> Cut:
    if reading.augmentation is not None:
        from featstore.images.augmentation import augmented_views

        ranges = reading.augmentation
        return lambda image, raw: augmented_views(image, raw, reading, ranges, views)
    from featstore.images.resize import fit_image, fit_views

    if reading.resize is not None:
        return lambda image, raw: fit_views(image, reading, views)
    return lambda image, raw: fit_image(image, reading)[None]


def _make_decoder(reading: Reading) -> Callable[[bytes], Image.Image]:
    """Return a function from the bytes of a file to its RGB image, changed by the probe if there is one."""
    from featstore.images.decode import decode_rgb
    from featstore.images.resize import scaled_size

    probe = reading.probe
    if reading.decodes_scaled:
        return lambda raw: decode_rgb(raw, reading.bits, lambda size: scaled_size(size, reading))
    if probe is None:
        return lambda raw: decode_rgb(raw, reading.bits)
    from featstore.images.probing import change_image

    return lambda raw: change_image(decode_rgb(raw, reading.bits), probe)
