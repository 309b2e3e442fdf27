"""Crops and mirror images against an independent reading of their definition, and the words that name them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featstore.errors import StoreError, UsageError
from featstore.images.readers import make_reader, make_views_reader
from featstore.images.reading import Reading
from featstore.images.views import VIEWS, Augmentation, parse_augmentation, parse_views
from featstore.spec import FeatureSpec
from helpers.photos import draw


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def ten_crop(image: Image.Image, canvas: int, size: int) -> np.ndarray:
    """Ten-crop as torchvision documents it: Resize(canvas), then TenCrop(size), written out for one image."""
    width, height = image.size
    if width <= height:
        scaled = image.resize((canvas, int(canvas * height / width)), Image.Resampling.BILINEAR)
    else:
        scaled = image.resize((int(canvas * width / height), canvas), Image.Resampling.BILINEAR)
    found = []
    for pixels in (np.asarray(scaled), np.asarray(scaled)[:, ::-1]):
        rows, columns = pixels.shape[:2]
        top, left = round((rows - size) / 2.0), round((columns - size) / 2.0)
        found += [
            pixels[:size, :size],
            pixels[:size, columns - size :],
            pixels[rows - size :, :size],
            pixels[rows - size :, columns - size :],
            pixels[top : top + size, left : left + size],
        ]
    return np.stack(found)


@given(st.integers(7, 90), st.integers(7, 90), st.integers(5, 30), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_ten_crop_is_that_of_its_definition(height: int, width: int, size: int, more: int) -> None:
    """Pixel by pixel, on images of odd sizes, larger and smaller than the canvas."""
    image = draw("discs", height, (height, width))
    reading = Reading(size, size, fit="crop", resize=(size + more, size + more))
    found = make_views_reader(reading, VIEWS["ten"])(encoded(image))
    assert found.shape == (10, size, size, 3)
    assert np.array_equal(found, ten_crop(image, size + more, size))


@pytest.mark.parametrize("views", ["one", "flip", "five"])
def test_fewer_views_are_some_of_the_ten(views: str) -> None:
    """One extraction of ten views serves them all."""
    reading = Reading(16, 16, fit="crop", resize=(19, 19))
    raw = encoded(draw("stripes", 3, (31, 44)))
    ten = make_views_reader(reading, VIEWS["ten"])(raw)
    assert np.array_equal(make_views_reader(reading, VIEWS[views])(raw), ten[list(VIEWS[views])])
    assert np.array_equal(make_reader(reading)(raw), ten[4])


def test_squash_takes_crops_of_a_square_canvas() -> None:
    """The squash-to-256 form: the corners show the corners of the whole image."""
    image = draw("discs", 1, (31, 64))
    canvas = np.asarray(image.resize((20, 20), Image.Resampling.BILINEAR))
    found = make_views_reader(Reading(16, 16, fit="squash", resize=(20, 20)), VIEWS["five"])(encoded(image))
    places = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
    assert np.array_equal(found, np.stack([canvas[y : y + 16, x : x + 16] for y, x in places]))


def test_inputs_need_not_be_square() -> None:
    """The canvas then covers both of its sides."""
    image = draw("discs", 2, (100, 100))
    found = make_views_reader(Reading(8, 16, fit="crop", resize=(10, 20)), VIEWS["ten"])(encoded(image))
    canvas = np.asarray(image.resize((20, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(found[3], canvas[12:, 4:])
    assert np.array_equal(found[5], canvas[:, ::-1][:8, :16])


def test_a_canvas_without_margin_is_the_image_and_its_mirror_image() -> None:
    """All crops are the same then."""
    reading = Reading(16, 16, resize=(16, 16))
    raw = encoded(draw("stripes", 1))
    found = make_views_reader(reading, (4, 9))(raw)
    assert np.array_equal(found[0], make_reader(Reading(16, 16))(raw))
    assert np.array_equal(found[1], found[0][:, ::-1])


def test_crops_have_a_key_of_their_own() -> None:
    """A spec with crops can be read from its JSON, and the text of one without them has not changed."""
    plain = FeatureSpec("tiny", "0" * 64, Reading(16, 16), preprocessing=_raw())
    cropped = replace(plain, reading=Reading(16, 16, resize=(18, 20)))
    augmented = replace(plain, reading=Reading(16, 16, augmentation=Augmentation(zoom=0.1)))
    assert len({plain.key, cropped.key, augmented.key}) == 3
    for spec in (plain, cropped, augmented):
        assert FeatureSpec.from_json(spec.to_json()) == spec
    with pytest.raises(StoreError, match="not a feature spec"):  # the versions of an earlier rule are other pixels
        FeatureSpec.from_json(augmented.to_json().replace('"version":2', '"version":1'))
    assert set(plain.describe()["reading"]) == {"name", "version", "size", "fit", "interpolation"}


def _raw() -> object:
    from featstore.images.preprocessing import NAMED

    return NAMED["raw"]


@pytest.mark.parametrize("resize", [(15, 30), (30, 15)])
def test_a_canvas_smaller_than_the_input_is_refused(resize: tuple[int, int]) -> None:
    """There would be nothing to crop from."""
    with pytest.raises(UsageError, match=r"smaller than the size 16x16"):
        Reading(16, 16, resize=resize)


def test_keras_compat_takes_whole_images_only() -> None:
    """Keras' loader knows no crops."""
    for more in ({"resize": (20, 20)}, {"augmentation": Augmentation()}):
        with pytest.raises(UsageError, match="keras-compat takes whole images only"):
            Reading(16, 16, "keras-compat", **more)


def test_views_are_named_in_words() -> None:
    """The error for an unknown word lists the known ones."""
    assert [parse_views(text) for text in ("one", "ten", "augment:4")] == [("one", 0), ("ten", 0), ("one", 4)]
    for text in ("", "two", "augment", "augment:", "augment:0", "augment:-1", "augment:x", "augment:1001", "augment:²"):
        with pytest.raises(UsageError, match="use one of one, flip, five, ten, or augment:K"):
            parse_views(text)


def test_augmentations_are_named_in_words() -> None:
    """Changes to the defaults; a slip says what is known."""
    assert parse_augmentation("") == Augmentation()
    assert parse_augmentation("rotation=15,mirror=0,seed=3") == Augmentation(rotation=15.0, mirror=False, seed=3)
    for text, message in (
        ("blur=1", "'blur' is not known: use crop, mirror, rotation"),
        ("zoom=x", "expected a number"),
        ("zoom=nan", "expected a number"),
        ("mirror=2", "expected 0 or 1"),
        ("seed=1.5", "expected a number"),
        ("zoom=1", "expected 0 to 0.9"),
        ("crop=0", r"expected 0\.01 to 1"),
        ("zoom=0.1,zoom=0.2", "given twice"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_augmentation(text)
