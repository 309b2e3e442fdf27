"""Readers that share a decoding give the pixels of readers alone."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images import decode
from featstore.images.probe import Probe
from featstore.images.readers import make_reader, make_shared_reader, make_views_reader
from featstore.images.reading import Reading
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
}


def saved(image: Image.Image, kind: str = "JPEG") -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_every_reading_sees_what_it_sees_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit, with one decoding for all that decode alike: all bits, 12 bits, and the probe."""
    raw = saved(draw("discs", 0, (90, 70)))
    alone = {reading: make_views_reader(reading, views)(raw) for reading, views in WANTED.items()}
    decoded: list[int] = []
    real = decode.decode_rgb
    monkeypatch.setattr(decode, "decode_rgb", lambda raw, bits: (decoded.append(bits), real(raw, bits))[1])
    together = make_shared_reader(WANTED)(raw)
    assert sorted(decoded) == [12, 16, 16]
    assert list(together) == list(WANTED)
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
