"""Readings: what they are called, the golden pixels that guard their version, and what loads with them."""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_decode import encoded

from featstore.errors import UnreadableImage, UsageError
from featstore.images.reading import (
    FITS,
    INTERPOLATIONS,
    KERAS_INTERPOLATIONS,
    VERSIONS,
    Reading,
    parse_size,
)

# Golden pixels. The photo is kept as bytes, since encoders differ; all else is lossless and drawn here.

JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1x"
    "eXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARC"
    "AAlADUDASIAAhEBAxEB/8QAGgAAAwEBAQEAAAAAAAAAAAAAAAQFAwYHAv/EACgQAAICAQIFAgcAAAAAAAAAAAABAgMRBCEFEjFRYSIyE0FScY"
    "Gx8P/EABkBAAMAAwAAAAAAAAAAAAAAAAQFBgACA//EACARAAICAQUAAwAAAAAAAAAAAAABAgMEBRESITETQVH/2gAMAwEAAhEDEQA/AOFqQ5UhapD"
    "lSO86Aaxj2h0s9TYow2S90uxf03C9PBetSm/Lx+hfg1ShpFPbM230/BYqQmyIy5NIbYuFUqlOa3b77Fp8JjyuVEnnryv5+Mi1cXF4aaa2aZeqRP"
    "19Sr1jax60pYS/uwNCDb4sTaviV1x+WtbfpnBbAaQWwGOgl2zz6pDdSF6kN1IvJ0FPYy7wS5cjok985jl9fBdqRyVOYtNPDW6aK2m4jqK1huM+3M"
    "hVkYLb3iGY+qRrrVdq8+zoq8RWW8JbtsmX2/H1Mpr29I/YXlqrr1ic3y/Stka1IFjh8O2KNT1BZCUILo3gtgPuC2A1dBPtnn1SG6kAFrNIp7Byp"
    "DdSAAOaQBYOVIbqQABzSF9g3BbAAAzSBH6f/9k="
)  # 53x37 px, 4:2:0: a red disc on a ramp from black to cyan


def turned_photo() -> bytes:
    """The photo with an EXIF orientation of 6 put in, by hand."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + JPEG[2:]


def drawn() -> np.ndarray:
    y, x = np.mgrid[:37, :53]
    return np.stack([x * 4, y * 6, (x * y) % 256, (x * 3 + y * 3) % 256], -1).astype(np.uint8)


IMAGES = {
    "photo": JPEG,
    "turned": turned_photo(),
    "alpha": encoded(Image.fromarray(drawn())),
    "16-bit": encoded(Image.fromarray((np.mgrid[:37, :53].prod(axis=0) * 34).astype(np.uint16))),
}
INPUT = Reading(24, 32)

# SHA-256 of the pixels, eight digits of it for each interpolation in the order of INTERPOLATIONS
GOLDEN = {
    ("photo", "squash"): "03de2012 fd358062 0a4b3658 22cdab18 df1c59a1 85645ba1",
    ("photo", "crop"): "7fb7d62a 138e5dd0 2a30e4bb 6612d00a ccd5a3ff 013b9a42",
    ("photo", "pad"): "71917fa8 95f4cce4 ed149dc3 0b1c4e81 3a863d8d 39573157",
    ("turned", "squash"): "3c4fd694 4ef82e85 db710b39 3e770ce4 14c39f78 af57d8bd",
    ("turned", "crop"): "71d55b24 128a9a15 638a7dd5 f22cef67 c36c759e 2d3d4cab",
    ("turned", "pad"): "d3d4afbc 9b8a1950 01db4bfc 03a9caec 33598b23 a9ff49a3",
    ("alpha", "squash"): "01c418cd 4741b918 daf23a33 4a921d2b 58ed35ae b2346957",
    ("alpha", "crop"): "bdf67d7d 9ccac9d0 7e094afc bb9796a3 bf476ccc 874403ab",
    ("alpha", "pad"): "b94813bc 1f9a760b 141748a6 adf0ac7c bdafad16 1ea9866f",
    ("16-bit", "squash"): "71b73781 1aa7f132 4d9882d1 d758e829 98b70450 2d93bbc2",
    ("16-bit", "crop"): "74c831aa 4f378ded b473b20a 87f34350 2a447a83 6ce218ab",
    ("16-bit", "pad"): "6804904f bdd7614b dbf1f403 2f4363ef 7ddc9fde 1525f696",
}
# the pixels at (row, column) (0, 0), (12, 16) and (23, 31), squashed with `bilinear`
PIXELS = {
    "photo": [[0, 3, 5], [252, 132, 122], [3, 249, 251]],
    "turned": [[0, 6, 243], [239, 140, 119], [0, 248, 11]],
    "alpha": [[253, 253, 253], [176, 178, 180], [254, 254, 251]],
    "16-bit": [[0, 0, 0], [67, 67, 67], [243, 243, 243]],
}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("image", IMAGES)
def test_pixels_are_those_of_this_version(image: str, fit: str) -> None:
    """Whoever changes a pixel has to raise the version of the reading, or old features would be served for new ones."""
    assert VERSIONS["pillow"] == 1, "new pixels: print the new digests into GOLDEN"
    found = []
    for interpolation in INTERPOLATIONS:
        read = replace(INPUT, fit=fit, interpolation=interpolation).reader()
        found.append(hashlib.sha256(read(IMAGES[image]).tobytes()).hexdigest()[:8])
    assert " ".join(found) == GOLDEN[image, fit]


@pytest.mark.parametrize("image", IMAGES)
def test_a_few_pixels_written_out(image: str) -> None:
    """As above, for whoever wants to see by how much they have changed."""
    read = INPUT.reader()(IMAGES[image])
    assert [read[0, 0].tolist(), read[12, 16].tolist(), read[23, 31].tolist()] == PIXELS[image]


def test_the_golden_images_are_read_differently() -> None:
    """Each fit and each interpolation has its own digest, so that none of them stands for another by mistake."""
    digests = [digest for row in GOLDEN.values() for digest in row.split()]
    assert len(set(digests)) == len(digests) == len(IMAGES) * len(FITS) * len(INTERPOLATIONS)


def test_a_reader_may_be_shared_and_says_what_it_cannot_read() -> None:
    """The function holds no state between files: a broken one leaves the next as it is."""
    read = INPUT.reader()
    before = read(JPEG)
    with pytest.raises(UnreadableImage):
        read(JPEG[:500])
    assert np.array_equal(read(JPEG), before)
    assert before.shape == (24, 32, 3)
    assert before.dtype == np.uint8


LIGHT = """
import sys
from featstore.images.reading import Reading
Reading(8, 8).describe()
print(sorted({"PIL", "numpy", "tensorflow", "keras"} & set(sys.modules)))
Reading(8, 8).reader()
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""


def test_a_key_needs_no_pillow_and_a_photo_no_tensorflow() -> None:
    """A reading describes itself without any library, and `pillow` reads without TensorFlow."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


# What it is called

READINGS = st.builds(
    Reading,
    st.integers(1, 4096),
    st.integers(1, 4096),
    st.just("pillow"),
    st.sampled_from(FITS),
    st.sampled_from(INTERPOLATIONS),
) | st.builds(
    Reading,
    st.integers(1, 4096),
    st.integers(1, 4096),
    st.just("keras-compat"),
    st.sampled_from(FITS),
    st.sampled_from(KERAS_INTERPOLATIONS),
)


@given(READINGS, READINGS)
def test_a_description_tells_readings_apart(one: Reading, other: Reading) -> None:
    """Two readings have the same description, which goes into the key, only if they are the same."""
    assert (one.describe() == other.describe()) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 9},
        {"width": 9},
        {"name": "keras-compat"},
        {"fit": "crop"},
        {"fit": "pad"},
        {"interpolation": "bicubic"},
    ],
)
def test_every_field_is_described(change: dict[str, object]) -> None:
    """One field alone makes another description."""
    assert replace(Reading(8, 8), **change).describe() != Reading(8, 8).describe()


def test_the_version_is_described() -> None:
    """A raised version is another reading."""
    assert Reading(8, 8).describe()["version"] == VERSIONS["pillow"]
    assert Reading(8, 8, "keras-compat").describe()["version"] == VERSIONS["keras-compat"]


@pytest.mark.parametrize("field", ["name", "fit", "interpolation"])
def test_unknown_words_are_refused(field: str) -> None:
    """A reading, fit or interpolation that does not exist is named, with those that do."""
    with pytest.raises(UsageError, match="'nonsense' is not known: use one of"):
        Reading(8, 8, **{field: "nonsense"})


@pytest.mark.parametrize("interpolation", sorted({*INTERPOLATIONS} - {*KERAS_INTERPOLATIONS}))
def test_keras_compat_has_fewer_interpolations(interpolation: str) -> None:
    """What Keras cannot do is refused before TensorFlow loads."""
    with pytest.raises(UsageError, match="keras-compat"):
        Reading(8, 8, "keras-compat", interpolation=interpolation)


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (-1, 8)])
def test_a_side_has_at_least_one_pixel(size: tuple[int, int]) -> None:
    """An input without pixels is refused."""
    with pytest.raises(UsageError, match="at least 1 px"):
        Reading(*size)


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [("224", (224, 224)), ("224x320", (224, 320)), ("96X64", (96, 64)), ("4096", (4096, 4096)), ("1x1", (1, 1))],
)
def test_sizes_are_height_by_width(text: str, size: tuple[int, int]) -> None:
    """One number is a square, two are height and width."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1x2x3", "abc", "4097", "2²", "224x", "x224", " 224", "2 4", "2.5"])
def test_other_sizes_are_refused(text: str) -> None:
    """The message repeats what was given, and shows how it goes."""
    with pytest.raises(UsageError, match="224x320") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


@given(st.text() | st.text(alphabet="0123456789xX", max_size=12) | st.just("9" * 5000))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    """No other exception than UsageError comes out of a size, and no side beyond 4096 px."""
    try:
        height, width = parse_size(text)
    except UsageError:
        return
    assert 1 <= min(height, width) <= max(height, width) <= 4096
