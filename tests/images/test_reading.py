"""Readings: what they are called, and what loads with them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.errors import UnreadableImage, UsageError
from featstore.images.readers import make_reader
from featstore.images.reading import (
    FITS,
    INTERPOLATIONS,
    KERAS_INTERPOLATIONS,
    VERSIONS,
    Reading,
    parse_size,
)
from helpers.encoded import encoded
from helpers.photos import draw

PHOTO = encoded(draw("discs", 1), "JPEG")
INPUT = Reading(24, 32)


def test_a_reader_may_be_shared_and_says_what_it_cannot_read() -> None:
    """The function holds no state between files: a broken one leaves the next as it is."""
    read = make_reader(INPUT)
    before = read(PHOTO)
    with pytest.raises(UnreadableImage):
        read(PHOTO[:500])
    assert np.array_equal(read(PHOTO), before)
    assert before.shape == (24, 32, 3)
    assert before.dtype == np.uint8


LIGHT = """
import sys
from featstore.images.reading import Reading
Reading(8, 8).describe()
print(sorted({"PIL", "numpy", "tensorflow", "keras"} & set(sys.modules)))
from featstore.images.readers import make_reader
make_reader(Reading(8, 8))
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
        {"bits": 12},
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


def test_keras_compat_takes_all_bits() -> None:
    """TensorFlow reads 16 bits in its own way."""
    with pytest.raises(UsageError, match="keras-compat takes all bits as they are: leave `bits` out"):
        Reading(8, 8, "keras-compat", bits=12)


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


@pytest.mark.parametrize("text", ["", "0", "-1", "1x2x3", "abc", "4097", "2²", "224x", "x224", "2 4", "2.5", "224em"])
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
