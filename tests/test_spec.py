"""FeatureSpec and its key."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.errors import StoreError, UsageError
from featstore.images.reading import Reading
from featstore.images.variants import NAMED, Preprocessing
from featstore.spec import FeatureSpec

SPEC = FeatureSpec("MobileNet", "ab" * 32, Reading(224, 224), NAMED["tf"], alpha=0.75)
OTHERS = [
    replace(SPEC, model="MobileNetV2"),
    replace(SPEC, weights="cd" * 32),
    replace(SPEC, alpha=1.0),
    replace(SPEC, layer="conv_pw_11_relu"),
    replace(SPEC, pool="max"),
    replace(SPEC, dtype="float32"),
    *(replace(SPEC, preprocessing=variant) for name, variant in NAMED.items() if name != "tf"),
    *(
        replace(SPEC, reading=replace(SPEC.reading, **change))
        for change in (
            {"height": 225},
            {"width": 225},
            {"name": "keras-compat"},
            {"fit": "crop"},
            {"interpolation": "bicubic"},
        )
    ),
]


def test_the_key_never_changes_by_accident() -> None:
    """A stored key of a known spec: whoever changes it makes every cache in the world miss."""
    assert SPEC.key == "82716c7590b96c2a95b9a7e25e1812fe51dd628cb817983f65bc2d1cf799a6b8"


def test_whatever_changes_a_value_changes_the_key() -> None:
    """One thing at a time."""
    assert len({SPEC.key, *(other.key for other in OTHERS)}) == len(OTHERS) + 1


def test_the_version_of_the_reading_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised, it makes all old features miss."""
    before = SPEC.key
    monkeypatch.setitem(__import__("featstore.images.reading").images.reading.VERSIONS, "pillow", 99)
    assert SPEC.key != before


finite = st.floats(-1000, 1000).filter(lambda x: x != 0)


@given(st.sampled_from([SPEC, *OTHERS]), finite, st.tuples(finite, finite, finite), st.sampled_from(["rgb", "bgr"]))
def test_json_is_canonical_and_comes_back(spec: FeatureSpec, scale: float, triple: tuple, order: str) -> None:
    """Any spec survives the round trip, with the same key."""
    spec = replace(spec, preprocessing=Preprocessing(order, scale, triple, triple))
    again = FeatureSpec.from_json(spec.to_json())
    assert again == spec
    assert again.key == spec.key
    assert json.dumps(json.loads(spec.to_json()), sort_keys=True, separators=(",", ":")) == spec.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"spec_version": 2},
        {"pool": "median"},
        {"model": "../../etc"},
        {"model": 5},
        {"weights": "short"},
        {"reading": None},
        {"extra": 1},
        {"precision": "bfloat16"},
    ],
)
def test_foreign_json_is_refused(change: dict) -> None:
    """What this version would not write it does not read."""
    with pytest.raises(StoreError):
        FeatureSpec.from_json(json.dumps(SPEC.describe() | change))


@given(st.text() | st.binary())
def test_any_text_is_a_spec_or_refused(text: str | bytes) -> None:
    """No other exception than StoreError."""
    with pytest.raises(StoreError):
        FeatureSpec.from_json(text)


def test_the_folder_says_what_it_is() -> None:
    """Model with its alpha, variant, size and the beginning of the key."""
    assert SPEC.folder == f"MobileNet-0.75/tf-224-{SPEC.key[:12]}"
    assert replace(SPEC, reading=Reading(32, 48)).folder.split("/")[1].startswith("tf-32x48-")


def test_unknown_words_are_refused() -> None:
    """Pool and dtype that do not exist."""
    for change in ({"pool": "sum"}, {"dtype": "float64"}):
        with pytest.raises(UsageError, match="use one of"):
            replace(SPEC, **change)
