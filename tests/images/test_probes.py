"""Probes: what they are called, what they do to an image, and that nothing else is changed by their being there."""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UnreadableImage, UsageError
from featstore.images.preprocessing import NAMED
from featstore.images.probe import PROBES, Probe, parse_probe
from featstore.images.probing import change_image
from featstore.images.readers import make_reader, make_views_reader
from featstore.images.reading import Reading
from featstore.images.views import VIEWS
from featstore.spec import FeatureSpec
from helpers.encoded import encoded
from helpers.photos import draw

PHOTO = draw("discs", 1)
PLAIN = FeatureSpec("tiny", hashlib.sha256(b"").hexdigest(), Reading(24, 32), NAMED["tf"])


def spec_with(probe: Probe | None) -> FeatureSpec:
    return FeatureSpec(PLAIN.model, PLAIN.weights, Reading(24, 32, probe=probe), PLAIN.preprocessing)


@pytest.mark.parametrize(
    ("text", "known_as"),
    [
        ("greyscale", "greyscale"),
        ("Gray", "greyscale"),
        ("color", "greyscale"),
        ("blur", "blur=2"),
        ("blur=0.5", "blur=0.5"),
        ("rotate=-90", "rotate=-90"),
        ("JPEG=5", "jpeg=5"),
    ],
)
def test_one_probe_has_one_name(text: str, known_as: str) -> None:
    """In any spelling, with its amount where it has one; read again, it is the same."""
    assert str(parse_probe(text)) == known_as
    assert parse_probe(known_as) == parse_probe(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("blurr", "did you mean blur"),
        ("noise", "use one of greyscale, blur, brightness, rotate, jpeg"),
        ("blur=much", "expected a number after ="),
        ("blur=nan", "expected a number after ="),
        ("blur=90", "from 0.1 to 50: a radius in per cent of the shorter side"),
        ("jpeg=20.5", "expected a whole number from 1 to 95"),
        ("greyscale=1", "takes no number"),
        ("rotate=0", "changes nothing"),
        ("brightness=1", "changes nothing"),
    ],
)
def test_what_is_no_probe_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_probe(text)


def test_a_probe_is_part_of_the_key() -> None:
    """Each kind and amount has a key, which is read again from its text; without a probe the key is as it was."""
    probes = [None, *map(Probe, PROBES), Probe("blur", 3), Probe("rotate", -15)]
    specs = [spec_with(probe) for probe in probes]
    assert len({spec.key for spec in specs}) == len(probes)
    assert [FeatureSpec.from_json(spec.to_json()) for spec in specs] == specs
    assert specs[0] == PLAIN
    assert "probe" not in PLAIN.describe()["reading"]
    assert spec_with(Probe("blur", 2)).key == spec_with(Probe("blur", 2.0)).key == spec_with(Probe("blur")).key


@pytest.mark.parametrize("probe", [*map(Probe, PROBES), Probe("rotate", 90), Probe("blur", 50)], ids=str)
def test_a_probe_is_the_same_as_a_changed_copy(probe: Probe) -> None:
    """Whole images and crops are read from the changed image, as from a copy of it that is saved without loss."""
    raw, copy = encoded(PHOTO, "PNG"), encoded(change_image(PHOTO, probe), "PNG")
    for size in ({}, {"resize": (30, 40)}):
        plain, probed = Reading(24, 32, **size), Reading(24, 32, probe=probe, **size)
        views = VIEWS["ten"] if size else (0,)
        found = make_views_reader(probed, views)(raw)
        assert np.array_equal(found, make_views_reader(plain, views)(copy))
        assert not np.array_equal(found, make_views_reader(plain, views)(raw))
        assert np.array_equal(found, make_views_reader(probed, views)(raw))


def test_what_each_does() -> None:
    """Grey has one level in all channels; the others keep the size and what they do not change."""
    pixels = np.asarray(PHOTO).astype(int)
    grey = np.asarray(change_image(PHOTO, Probe("greyscale"))).astype(int)
    assert np.ptp(grey, axis=2).max() == 0
    assert np.abs(grey[..., 0] - pixels @ [0.299, 0.587, 0.114]).max() <= 1
    dark = np.asarray(change_image(PHOTO, Probe("brightness", 0.5)))
    assert np.abs(dark - pixels / 2).max() <= 0.5
    assert np.array_equal(np.asarray(change_image(PHOTO, Probe("brightness", 3))), np.minimum(pixels * 3, 255))
    turned = np.asarray(change_image(draw_square(), Probe("rotate", 90)))
    assert np.array_equal(turned, np.rot90(np.asarray(draw_square())))
    soft = np.asarray(change_image(PHOTO, Probe("blur", 10))).astype(int)
    assert np.abs(np.diff(soft, axis=0)).mean() < np.abs(np.diff(pixels, axis=0)).mean() / 2
    assert abs(soft.mean() - pixels.mean()) < 3
    coarse = change_image(PHOTO, Probe("jpeg", 5))
    assert (coarse.mode, coarse.size, coarse.format) == ("RGB", PHOTO.size, None)


def test_the_blur_is_relative_to_the_size_of_the_image() -> None:
    """So a large copy of a photo and a small one lose the same."""
    small, large = PHOTO.resize((60, 60)), PHOTO.resize((240, 240), Image.Resampling.BICUBIC)
    blurred = [
        np.asarray(change_image(image, Probe("blur", 5)).resize((30, 30))).astype(int) for image in (small, large)
    ]
    assert np.abs(blurred[0] - blurred[1]).mean() < 3


def test_corners_that_come_in_are_mirrored() -> None:
    """No pixel is black where none was."""
    bright = Image.fromarray((128 + np.asarray(PHOTO) // 2).astype(np.uint8))
    assert np.asarray(change_image(bright, Probe("rotate", 45))).min() >= 128


def test_an_image_that_is_too_long_for_a_jpeg_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="a JPEG has at most"):
        change_image(Image.new("RGB", (70_000, 1)), Probe("jpeg"))


def test_a_comment_of_the_file_is_not_carried_into_the_jpeg() -> None:
    """Pillow would write it, and refuse one that is too long."""
    file = BytesIO()
    PHOTO.save(file, "JPEG", comment=b"x" * 65_000)
    image = Image.open(file)
    image.load()
    image.info["comment"] = b"x" * 70_000
    change_image(image.convert("RGB"), Probe("jpeg"))


@pytest.mark.tf
def test_the_reading_like_keras_is_changed_too() -> None:
    """Before it is resized, as for Pillow."""
    raw = encoded(PHOTO, "PNG")
    for probe in map(Probe, PROBES):
        copy = encoded(change_image(PHOTO, probe), "PNG")
        plain, probed = (make_reader(Reading(24, 32, "keras-compat", probe=some)) for some in (None, probe))
        assert np.array_equal(probed(raw), plain(copy))


def draw_square() -> Image.Image:
    return PHOTO.resize((40, 40))
