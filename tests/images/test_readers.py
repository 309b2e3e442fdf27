"""Readers that share a decoding give the pixels of readers alone."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images import decode, resize
from featstore.images.probe import Probe
from featstore.images.readers import make_reader, make_shared_reader, make_views_reader
from featstore.images.reading import FITS, Fit, Reading
from featstore.images.resize import scaled_size
from featstore.images.views import Augmentation
from helpers.photos import draw

WANTED: dict[Reading, Sequence[int]] = {
    Reading(32, 32): (0,),
    Reading(24, 40, fit="crop"): (0,),
    Reading(32, 32, fit="pad", interpolation="bicubic"): (0,),
    Reading(32, 32, resize=(40, 40), fit="crop"): (0, 4, 9),
    Reading(32, 32, augmentation=Augmentation()): (1, 2),
    Reading(32, 32, bits=12): (0,),
    Reading(32, 32, probe=Probe("greyscale")): (0,),
    Reading(32, 32, "fast"): (0,),
    Reading(32, 32, "fast", bits=12): (0,),
    Reading(16, 16, "fast"): (0,),
    Reading(16, 16, "fast", interpolation="bicubic"): (0,),
    Reading(32, 32, "fast", augmentation=Augmentation(crop=0.5)): (1,),
}


def saved(image: Image.Image, kind: str = "JPEG") -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_every_reading_sees_what_it_sees_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit, with one decoding for all that decode alike.

    That is by all bits, by 12, with the probe, and in part for a size of the reading `fast`, which needs the whole
    image for random crops.
    """
    raw = saved(draw("discs", 0, (90, 70)))
    alone = {reading: make_views_reader(reading, views)(raw) for reading, views in WANTED.items()}
    decoded: list[int] = []
    real = decode.decode_rgb
    monkeypatch.setattr(decode, "decode_rgb", lambda raw, *how: (decoded.append(how[0]), real(raw, *how))[1])
    together = make_shared_reader(WANTED)(raw)
    assert sorted(decoded) == [12, 12, 16, 16, 16, 16]
    assert set(together) == set(WANTED)
    for reading, views in WANTED.items():
        assert together[reading].shape == (len(views), reading.height, reading.width, 3)
        assert np.array_equal(together[reading], alone[reading])
    plain = Reading(32, 32)
    assert np.array_equal(together[plain][0], make_reader(plain)(raw))


def test_what_one_reading_cannot_read_is_read_by_none() -> None:
    """Its rows would be missing for some of the features."""
    deep = saved(Image.fromarray(np.full((40, 40), 60000, np.uint16)), "PNG")
    assert make_shared_reader({Reading(32, 32): (0,)})(deep)
    with pytest.raises(UnreadableImage, match="12 bits end at 4095"):
        make_shared_reader({Reading(32, 32): (0,), Reading(32, 32, bits=12): (0,)})(deep)


# The reading `fast`


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(500, 375), (1000, 200), (130, 260), (64, 64), (63, 64), (4000, 31)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_scaled_decoding_is_never_smaller_than_what_it_is_scaled_to(
    fit: Fit, size: tuple[int, int], turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On either side, upright, and as small as a half, a quarter or an eighth allows."""
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    file = BytesIO()
    draw("discs", 0, size[::-1]).save(file, "JPEG", exif=exif)
    upright = size[::-1] if turned else size
    reading = Reading(32, 48, "fast", fit)
    target = scaled_size(upright, reading)
    decoded: list[tuple[int, int]] = []
    real = resize.fit_image
    monkeypatch.setattr(resize, "fit_image", lambda image, how: (decoded.append(image.size), real(image, how))[1])
    make_shared_reader({reading: (0,)})(file.getvalue())
    [found] = decoded
    factor = max(k for k in (1, 2, 4, 8) if k == 1 or all(u // k >= t for u, t in zip(upright, target, strict=True)))
    assert found == tuple(-(-side // factor) for side in upright)
    assert factor == 1 or all(f >= t for f, t in zip(found, target, strict=True))


def test_a_large_photo_looks_the_same() -> None:
    """The decoder averages blocks instead of the filter: a level or two."""
    photo = Image.fromarray(np.kron(np.asarray(draw("discs", 3, (100, 80))), np.ones((5, 5, 1), np.uint8)))
    raw = saved(photo)
    slow, fast = (make_reader(Reading(40, 50, name))(raw).astype(float) for name in ("pillow", "fast"))
    assert 0 < np.abs(slow - fast).mean() < 2


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_other_formats_and_small_photos_are_as_with_pillow(kind: str) -> None:
    """Only JPEG can be decoded in part, and only by whole factors of two."""
    for raw in (saved(draw("discs", 1, (300, 200)), kind), saved(draw("discs", 1, (63, 63)))):
        slow, fast = (make_reader(Reading(32, 32, name))(raw) for name in ("pillow", "fast"))
        assert np.array_equal(slow, fast)
