"""Preprocessing variants against numbers written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.errors import UsageError
from featstore.images.preprocessing import NAMED, Preprocessing, canonical_map, parse_variant

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


def test_a_mistyped_name_is_refused_with_the_nearest() -> None:
    """After the list of all of them."""
    with pytest.raises(UsageError, match=r"'cafe' is not known: use one of keras, .*; did you mean caffe\?"):
        parse_variant("cafe", "tf")


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


# One map, one form


def canonical(text: str) -> Preprocessing:
    return canonical_map(parse_variant(text, None)[1])


@pytest.mark.parametrize(
    "name, text",
    [
        ("tf", "scale=1/255,mean=0.5,std=0.5"),
        ("tf", "mean=127.5,std=127.5"),
        ("tf", "scale=2/255,mean=1:1:1,std=1:1:1"),
        ("rescale", "scale=1/255"),
        ("rescale", "std=255"),
        ("torch", "scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"),
        ("torch", "mean=123.675:116.28:103.53,std=58.395:57.12:57.375"),
        ("caffe", "order=bgr,scale=0.5,mean=51.9695:58.3895:61.84,std=0.5"),
        ("raw", "order=rgb,scale=2,std=2"),
    ],
)
def test_a_named_map_in_other_numbers_is_that_map(name: str, text: str) -> None:
    """The scale, mean and std may be written in units of 0 to 255, of 0 to 1, or any other."""
    assert canonical(text) == NAMED[name]


@pytest.mark.parametrize(
    "text",
    [
        "order=bgr,scale=1,mean=104:117:124,std=1",
        "scale=0.01,mean=0.3",
        "scale=1/255,mean=0.5",
        "scale=1/127.5,mean=1.1",
        "scale=-1,mean=255",
        "scale=1/255,mean=0.49:0.45:0.41,std=0.23:0.22:0.24",
    ],
)
def test_usual_numbers_stay_as_they_are(text: str) -> None:
    """So the keys that have them stay valid."""
    assert canonical(text) == parse_variant(text, None)[1]


@pytest.mark.parametrize(
    "text", ["scale=0.0078431,mean=1", "scale=1/127.5,mean=1.000001", "order=bgr,scale=1/127.5,mean=1"]
)
def test_a_map_that_is_nearly_another_is_not_that_map(text: str) -> None:
    """It computes other numbers in float32."""
    assert canonical(text) != NAMED["tf"]


factors = st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)
triples = st.tuples(*[st.floats(-1e3, 1e3)] * 3)
maps = st.builds(
    Preprocessing,
    st.sampled_from(["rgb", "bgr"]),
    factors,
    triples | st.floats(-1e3, 1e3).map(lambda m: (m, m, m)),
    st.tuples(*[factors] * 3) | factors.map(lambda s: (s, s, s)),
)


@given(maps, st.floats(0.1, 10))
def test_all_maps_with_the_same_float32_numbers_have_one_form(given_map: Preprocessing, unit: float) -> None:
    """The form computes exactly what each of them computes, and is its own form."""

    def factors_of(some: Preprocessing) -> tuple[object, ...]:
        order, a, b = some.factors()
        return order, np.float32(a).tolist(), np.float32(b).tolist()

    form = canonical_map(given_map)
    assert factors_of(form) == factors_of(given_map)
    assert canonical_map(form) == form
    scaled = Preprocessing(
        given_map.order,
        given_map.scale * unit,
        tuple(m * unit for m in given_map.mean),  # type: ignore[arg-type]
        tuple(s * unit for s in given_map.std),  # type: ignore[arg-type]
    )
    assert (canonical_map(scaled) == form) == (factors_of(scaled) == factors_of(given_map))


@pytest.mark.parametrize("scale", [1e-50, 1e50, 0.0])
def test_numbers_beyond_float32_are_left_alone(scale: float) -> None:
    """No form computes the same."""
    assert canonical_map(Preprocessing(scale=scale)) == Preprocessing(scale=scale)
