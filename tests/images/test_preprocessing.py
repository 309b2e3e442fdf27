"""Preprocessing variants against numbers written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.errors import UsageError
from featstore.images.preprocessing import NAMED, parse_variant

PIXEL = np.array([[10.0, 100.0, 250.0]])
EXPECTED = {
    "caffe": [250 - 103.939, 100 - 116.779, 10 - 123.68],
    "torch": [(10 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (250 / 255 - 0.406) / 0.225],
    "tf": [10 / 127.5 - 1, 100 / 127.5 - 1, 250 / 127.5 - 1],
    "rescale": [10 / 255, 100 / 255, 250 / 255],
    "rgb-mean": [10 - 123.68, 100 - 116.779, 250 - 103.939],
    "raw": [10, 100, 250],
}


@pytest.mark.parametrize("name", NAMED)
def test_each_variant_is_its_formula(name: str) -> None:
    """The numbers are written out for one RGB pixel, for uint8 and float input."""
    for images in (PIXEL, PIXEL.astype(np.uint8), PIXEL.astype(np.float32)):
        assert NAMED[name].apply(images)[0] == pytest.approx(EXPECTED[name], rel=1e-5, abs=1e-5)


def test_apply_leaves_its_input_alone() -> None:
    """Keras' own preprocess_input writes into a float array; this does not."""
    images = PIXEL.astype(np.float32)
    NAMED["caffe"].apply(images)
    assert images.tolist() == PIXEL.tolist()


def test_keras_is_what_the_base_was_trained_with() -> None:
    """`keras` resolves to the base's own variant, and is refused where that is not known."""
    assert parse_variant("keras", "caffe") == ("caffe", NAMED["caffe"])
    with pytest.raises(UsageError, match="does not say"):
        parse_variant("keras", None)


def test_numbers_can_say_what_a_name_says() -> None:
    """A numeric variant with the numbers of `caffe` is the same map."""
    _, custom = parse_variant("order=bgr,scale=1,mean=103.939:116.779:123.68,std=1", "tf")
    assert custom == NAMED["caffe"]
    assert parse_variant("scale=1/127.5,mean=1", None)[1] == NAMED["tf"]


@pytest.mark.parametrize(
    "text", ["nonsense", "scale=x", "mean=1:2", "std=0", "order=gbr", "depth=3", "scale=1/0", "=1"]
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    """Every mistake is a UsageError."""
    with pytest.raises(UsageError):
        parse_variant(text, "tf")


@given(st.text(alphabet="orderscalmnstdgb=,:/.-0123456789 ", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No other exception than UsageError comes out of a variant."""
    try:
        parse_variant(text, "tf")
    except UsageError:
        pass


def test_descriptions_differ() -> None:
    """What goes into the key tells all named variants apart."""
    assert len({str(variant.describe()) for variant in NAMED.values()}) == len(NAMED)
