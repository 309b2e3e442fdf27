"""The reading `keras-compat` against Keras itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.readers import make_reader
from featstore.images.reading import FITS, KERAS_INTERPOLATIONS, Reading
from featstore.system.tensorflow_loader import load_tensorflow
from helpers.encoded import declaring, encoded, stored, tagged
from helpers.photos import draw

SIZES = [(40, 48), (61, 37), (29, 90), (8, 5), (200, 133)]


def pictures() -> dict[str, bytes]:
    """Files of every kind and shape that Keras lists and can read."""
    files = {}
    for number, size in enumerate(SIZES):
        image = draw("discs", number, size)
        files[f"{number}.jpg"] = encoded(image, "JPEG", quality=80)
        files[f"{number}.png"] = encoded(image)
    image = draw("stripes", 9, (33, 47))
    files["grey.jpg"] = encoded(image.convert("L"), "JPEG")
    files["grey.png"] = encoded(image.convert("L"))
    files["palette.png"] = encoded(image.convert("P"))
    files["alpha.png"] = encoded(image.convert("RGBA"))
    files["cmyk.jpg"] = encoded(image.convert("CMYK"), "JPEG")
    files["16-bit.png"] = encoded(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54))
    files["turned.jpg"] = encoded(image, "JPEG", exif=tagged(6))
    files["colours.bmp"] = encoded(image, "BMP")
    files["animated.gif"] = encoded(image, "GIF", save_all=True, append_images=[draw("discs", 8, (33, 47))])
    return files


@pytest.mark.parametrize("interpolation", KERAS_INTERPOLATIONS)
@pytest.mark.parametrize("fit", FITS)
def test_pixels_are_those_of_a_keras_data_set(tmp_path: Path, fit: str, interpolation: str) -> None:
    """`image_dataset_from_directory` gives the same floats, file by file, whatever their kind and shape."""
    load_tensorflow()
    import keras

    files = pictures()
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    data = keras.utils.image_dataset_from_directory(
        tmp_path,
        labels=None,
        shuffle=False,
        batch_size=len(files),
        image_size=(24, 32),
        interpolation=interpolation,
        crop_to_aspect_ratio=fit == "crop",
        pad_to_aspect_ratio=fit == "pad",
        verbose=False,
    )
    [expected] = data
    read = make_reader(Reading(24, 32, "keras-compat", fit, interpolation))
    assert len(data.file_paths) == len(files)
    for path, pixels in zip(data.file_paths, expected.numpy(), strict=True):
        found = read(files[Path(path).name])
        assert found.dtype == np.float32
        assert np.array_equal(found, pixels), path


def read(raw: bytes, fit: str = "squash", size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return make_reader(Reading(*size, "keras-compat", fit))(raw)


def test_it_differs_from_the_pillow_reading() -> None:
    """No antialiasing, and no EXIF orientation: what makes this reading another key."""
    image = draw("discs", 3, (200, 160))
    assert np.abs(read(encoded(image)) - make_reader(Reading(24, 32))(encoded(image))).mean() > 1
    turned = Image.fromarray(np.ascontiguousarray(stored(np.asarray(image), 6)))
    assert np.array_equal(read(encoded(turned, "JPEG", exif=tagged(6))), read(encoded(turned, "JPEG")))


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_formats_that_tensorflow_lacks_are_named(kind: str) -> None:
    """The error names the reading that has them."""
    with pytest.raises(UnreadableImage, match=f"is {kind}, which TensorFlow does not decode: use the reading pillow"):
        read(encoded(draw("discs", 1), kind))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG"])
def test_the_gate_comes_first(kind: str) -> None:
    """TensorFlow has no limit on what a header may declare, so it is not asked."""
    with pytest.raises(UnreadableImage, match="declares"):
        read(declaring(kind, 7_100, 7_100))


def test_a_long_animation_is_refused() -> None:
    """TensorFlow decodes all frames of a GIF for the sake of the first: their pixels count together."""
    frames = [Image.new("P", (2000, 2000), number) for number in range(13)]
    raw = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImage, match="long animation.*use the reading pillow"):
        read(raw)
    assert read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:12])).shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the file is empty"),
        (b"no image", "is not a readable JPEG"),
        (encoded(draw("discs", 8), "JPEG")[:900], "cannot be decoded by TensorFlow: .*Invalid JPEG"),
        (encoded(draw("discs", 8))[:900], "cannot be decoded by TensorFlow: Invalid PNG"),
        (encoded(draw("discs", 8).convert("1"), "BMP"), "cannot be decoded by TensorFlow: Number of channels"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: str) -> None:
    """The reason is one line, without what TensorFlow adds about its operations."""
    with pytest.raises(UnreadableImage, match=reason) as caught:
        read(raw)
    assert "\n" not in str(caught.value)
    assert "Op:" not in str(caught.value)
    assert "{{" not in str(caught.value)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3000, 2)])
def test_any_shape_is_pixels_or_a_reason(fit: str, size: tuple[int, int]) -> None:
    """Thin images, of which nothing is left when they are made to fit, included."""
    try:
        pixels = read(encoded(draw("discs", 1, size)), fit)
    except UnreadableImage as error:
        assert fit == "pad"
        assert "must be positive" in str(error)
    else:
        assert pixels.shape == (24, 32, 3)
        assert np.isfinite(pixels).all()


def test_padding_needs_no_more_memory_than_the_image() -> None:
    """A panorama is resized before it is padded: padded first, this one would have 200 million pixels."""
    panorama = Image.new("RGB", (20_000, 100), "white")
    pixels = read(encoded(panorama), "pad", (320, 320))
    assert (pixels == 255).all(axis=2).sum() == 320


def test_a_frame_count_that_cannot_be_had_is_a_reason() -> None:
    """A GIF whose second frame is damaged is read or refused, nothing else."""
    raw = encoded(draw("discs", 1), "GIF", save_all=True, append_images=[draw("discs", 2)])
    second = raw.rindex(b"\x2c\0\0\0\0")
    for value in range(0, 256, 5):
        damaged = bytearray(raw)
        damaged[second - 5 : second + 12] = bytes([value]) * 17
        try:
            assert read(bytes(damaged)).shape == (24, 32, 3)
        except UnreadableImage as error:
            assert str(error)
