"""Squash, crop and pad, and the golden values that guard the version of the reading."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from conftest import draw
from PIL import Image

from featstore.errors import UnreadableImage, UsageError
from featstore.images.fit import fit_image
from featstore.images.reading import FITS, INTERPOLATIONS, VERSIONS, Reading, parse_size


def test_squash_is_a_plain_resize() -> None:
    """Both sides go to the input size, without regard to the aspect ratio."""
    image = draw("discs", 1, (33, 71))
    expected = np.asarray(image.resize((30, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(fit_image(image, Reading(20, 30)), expected)


@pytest.mark.parametrize("size", [(33, 71), (71, 33), (50, 50), (9, 13), (225, 224)])
def test_crop_is_shorter_side_then_centre(size: tuple[int, int]) -> None:
    """As torchvision's Resize(24) and CenterCrop(24), on images of odd sizes, larger and smaller."""
    image = draw("stripes", 2, size)
    height, width = size
    short = min(size)
    scaled = (24, 24 * height // short) if width == short else (24 * width // short, 24)
    resized = image.resize(scaled, Image.Resampling.BILINEAR)
    left, top = round((scaled[0] - 24) / 2), round((scaled[1] - 24) / 2)
    expected = np.asarray(resized)[top : top + 24, left : left + 24]
    assert np.array_equal(fit_image(image, Reading(24, 24, fit="crop")), expected)


def test_pad_is_centred_on_black() -> None:
    """A wide image keeps its aspect ratio between two black bars."""
    padded = fit_image(Image.new("RGB", (40, 20), "white"), Reading(32, 32, fit="pad"))
    assert (padded[:8] == 0).all()
    assert (padded[8:24] == 255).all()
    assert (padded[24:] == 0).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 7)])
def test_every_image_gets_the_input_size(fit: str, size: tuple[int, int]) -> None:
    """Small images are enlarged, and a non-square input is filled."""
    assert fit_image(draw("discs", 3, size), Reading(48, 64, fit=fit)).shape == (48, 64, 3)


def test_a_strip_does_not_explode() -> None:
    """Cropping a strip would need a gigantic intermediate image, so it is refused with the reason."""
    with pytest.raises(UnreadableImage, match="long and thin"):
        fit_image(Image.new("RGB", (60_000, 1)), Reading(224, 224, fit="crop"))


def golden(fit: str, interpolation: str) -> str:
    y, x = np.mgrid[:37, :53]
    ramp = np.stack([x * 4, y * 6, (x * y) % 256], -1).astype(np.uint8)
    out = fit_image(Image.fromarray(ramp), Reading(24, 32, fit=fit, interpolation=interpolation))
    return hashlib.sha256(out.tobytes()).hexdigest()[:12]


GOLDEN = {
    ("squash", "bilinear"): "7dd1d97b1e45",
    ("squash", "nearest"): "5fc61f545b7d",
    ("squash", "bicubic"): "22415807dda9",
    ("squash", "lanczos"): "9eb16f92d8f8",
    ("squash", "box"): "fd3a3384938a",
    ("squash", "hamming"): "1849dbf6ceb1",
    ("crop", "bilinear"): "477039ce0731",
    ("crop", "nearest"): "57a4ee3b3fb0",
    ("crop", "bicubic"): "45b34f857000",
    ("crop", "lanczos"): "5ea75403cf62",
    ("crop", "box"): "12914df615cd",
    ("crop", "hamming"): "f8c7f4a97ef7",
    ("pad", "bilinear"): "05c7568a5d2e",
    ("pad", "nearest"): "f5a8f9be6d72",
    ("pad", "bicubic"): "eabca7562f26",
    ("pad", "lanczos"): "dc422d3cc66f",
    ("pad", "box"): "9bea3a5e2cc6",
    ("pad", "hamming"): "f98c934ca9fa",
}


@pytest.mark.parametrize(("fit", "interpolation"), [(f, i) for f in FITS for i in INTERPOLATIONS])
def test_pixels_are_those_of_this_version(fit: str, interpolation: str) -> None:
    """Whoever changes a pixel has to raise the version of the reading, or old features would be served for new ones."""
    assert VERSIONS["pillow"] == 1
    assert golden(fit, interpolation) == GOLDEN[fit, interpolation]


@pytest.mark.parametrize(("text", "size"), [("224", (224, 224)), ("224x320", (224, 320)), ("96X64", (96, 64))])
def test_sizes_are_height_by_width(text: str, size: tuple[int, int]) -> None:
    """One number is a square, two are height and width."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1x2x3", "abc", "5000", "2²", "224x"])
def test_other_sizes_are_refused(text: str) -> None:
    """The message repeats what was given."""
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize("field", ["name", "fit", "interpolation"])
def test_unknown_words_are_refused(field: str) -> None:
    """A reading, fit or interpolation that does not exist is named, with those that do."""
    with pytest.raises(UsageError, match="use one of"):
        Reading(8, 8, **{field: "nonsense"})
