"""Squash, crop and pad against independent formulas, on sizes that do not divide."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.reading import FITS, INTERPOLATIONS, Reading
from featstore.images.resize import fit_image
from helpers.photos import draw

SIDES = st.integers(1, 90)
INPUTS = st.integers(1, 60)


as_pillow_does = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13,
    reason="before Pillow 13 the passes of `resize` had another order; that pixels are the same, the golden ones show",
)


@as_pillow_does
@given(SIDES, SIDES, INPUTS, INPUTS, st.sampled_from(INTERPOLATIONS))
@settings(max_examples=200, deadline=None)
def test_squash_is_a_plain_resize(height: int, width: int, rows: int, columns: int, interpolation: str) -> None:
    """Both sides go to the input size, without regard to the aspect ratio, by the filter that was asked for."""
    image = draw("discs", 1, (height, width))
    expected = image.resize((columns, rows), Image.Resampling[interpolation.upper()])
    assert np.array_equal(fit_image(image, Reading(rows, columns, interpolation=interpolation)), expected)


def torchvision(image: Image.Image, side: int) -> np.ndarray:
    """Resize(side) and CenterCrop(side) as torchvision 0.21 computes them for PIL images, for a square input."""
    width, height = image.size
    short, long = sorted(image.size)
    new_long = int(side * long / short)
    resized = image.resize((side, new_long) if width <= height else (new_long, side), Image.Resampling.BILINEAR)
    top = round((resized.height - side) / 2.0)
    left = round((resized.width - side) / 2.0)
    return np.asarray(resized)[top : top + side, left : left + side]


@as_pillow_does
@given(SIDES, SIDES, INPUTS)
@settings(max_examples=200, deadline=None)
def test_crop_is_that_of_torchvision(height: int, width: int, side: int) -> None:
    """Shorter side, then centre, pixel for pixel, on images of odd sizes, larger and smaller."""
    image = draw("stripes", 2, (height, width))
    assert np.array_equal(fit_image(image, Reading(side, side, fit="crop")), torchvision(image, side))


@as_pillow_does
@pytest.mark.parametrize(
    ("size", "wanted", "scaled"),
    [
        ((100, 100), (20, 40), (40, 40)),  # (height, width) of image, input, and image scaled until it covers the input
        ((100, 100), (40, 20), (40, 40)),
        ((60, 90), (20, 30), (20, 30)),
        ((61, 90), (20, 30), (20, 30)),
        ((90, 61), (20, 30), (44, 30)),
        ((10, 7), (64, 48), (68, 48)),
    ],
)
def test_crop_covers_an_input_that_is_not_square(
    size: tuple[int, int], wanted: tuple[int, int], scaled: tuple[int, int]
) -> None:
    """Scaled until it just covers the input, the rest cut off on both sides alike."""
    image = draw("discs", 3, size)
    top, left = round((scaled[0] - wanted[0]) / 2), round((scaled[1] - wanted[1]) / 2)
    expected = image.resize(scaled[::-1], Image.Resampling.BILINEAR)
    cropped = expected.crop((left, top, left + wanted[1], top + wanted[0]))
    assert np.array_equal(fit_image(image, Reading(*wanted, fit="crop")), cropped)


def test_pad_is_centred_on_black() -> None:
    """A wide image keeps its aspect ratio between two black bars."""
    padded = fit_image(Image.new("RGB", (40, 20), "white"), Reading(32, 32, fit="pad"))
    assert (padded[:8] == 0).all()
    assert (padded[8:24] == 255).all()
    assert (padded[24:] == 0).all()


@given(SIDES, SIDES, INPUTS, INPUTS)
@settings(max_examples=200, deadline=None)
def test_pad_shows_the_whole_image_as_large_as_fits(height: int, width: int, rows: int, columns: int) -> None:
    """One side is filled, the other is in proportion to half a pixel, and the bars differ by one pixel at most."""
    white = np.full((height, width, 3), 255, np.uint8)
    padded = fit_image(Image.fromarray(white), Reading(rows, columns, fit="pad"))
    assert np.isin(padded, (0, 255)).all()
    y, x = np.nonzero(padded[..., 0])
    high, wide = np.ptp(y) + 1, np.ptp(x) + 1
    assert (padded[y.min() : y.max() + 1, x.min() : x.max() + 1] == 255).all()
    scale = min(rows / height, columns / width)
    assert high == pytest.approx(max(height * scale, 1), abs=0.5)
    assert wide == pytest.approx(max(width * scale, 1), abs=0.5)
    assert high == rows or wide == columns
    for first, last, side in ((y.min(), y.max(), rows), (x.min(), x.max(), columns)):
        assert 0 <= (side - 1 - last) - first <= 1


@given(SIDES, SIDES, INPUTS, INPUTS, st.sampled_from(FITS), st.sampled_from(INTERPOLATIONS))
@settings(max_examples=200, deadline=None)
def test_every_image_gets_the_input_size(
    height: int, width: int, rows: int, columns: int, fit: str, interpolation: str
) -> None:
    """Small images are enlarged, whatever the aspect ratios."""
    fitted = fit_image(draw("discs", 3, (height, width)), Reading(rows, columns, fit=fit, interpolation=interpolation))
    assert fitted.shape == (rows, columns, 3)
    assert fitted.dtype == np.uint8


@pytest.mark.parametrize("fit", FITS)
def test_an_image_of_the_input_size_is_left_alone(fit: str) -> None:
    """No pixel changes."""
    image = draw("stripes", 4, (32, 48))
    for interpolation in INTERPOLATIONS:
        reading = Reading(32, 48, fit=fit, interpolation=interpolation)
        assert np.array_equal(fit_image(image, reading), np.asarray(image))


@pytest.mark.parametrize("fit", FITS)
def test_shrinking_averages(fit: str) -> None:
    """A fine chequered pattern becomes grey, not a random sample of it: the filters antialias."""
    chequered = np.indices((400, 400)).sum(axis=0) % 2 * np.full((3, 1, 1), 255)
    image = Image.fromarray(chequered.transpose(1, 2, 0).astype(np.uint8))
    fitted = fit_image(image, Reading(16, 16, fit=fit))
    assert np.abs(fitted.astype(int) - 127).max() <= 4


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_a_strip_does_not_explode(size: tuple[int, int]) -> None:
    """Cropping a strip would need a gigantic intermediate image, so it is refused with the reason and a remedy."""
    with pytest.raises(UnreadableImage, match="is 60000x1 pixels|is 1x60000 pixels") as caught:
        fit_image(Image.new("RGB", size), Reading(224, 224, fit="crop"))
    assert "use another fit" in str(caught.value)


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(300_000, 1), (1, 300_000), (50, 300_000)])
def test_a_strip_can_be_squashed_or_padded(fit: str, size: tuple[int, int]) -> None:
    """Neither needs more than the strip itself, and a white one stays white where it is shown: padded, in one line."""
    fitted = fit_image(Image.new("RGB", size, "white"), Reading(64, 64, fit=fit))
    assert (fitted == 255).all(axis=2).sum() == (64 if fit == "pad" else 64 * 64)
    assert fitted.any(axis=2).sum() == (fitted == 255).all(axis=2).sum()
