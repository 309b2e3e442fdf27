"""FeatureSpec and its key."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.errors import StoreError, UsageError
from featstore.images import reading
from featstore.images.preprocessing import NAMED, Preprocessing
from featstore.images.reading import FITS, INTERPOLATIONS, Reading
from featstore.spec import DTYPES, POOLS, FeatureSpec
from helpers.specs import SPEC

CANONICAL = (
    '{"alpha":0.75,"dtype":"float16","layer":"last","model":"MobileNet","pool":"avg","precision":"float32",'
    '"preprocessing":{"map":"affine","mean":[1.0,1.0,1.0],"order":"rgb","scale":0.00784313725490196,'
    '"std":[1.0,1.0,1.0],"version":1},"reading":{"fit":"squash","interpolation":"bilinear","name":"pillow",'
    f'"size":[224,224],"version":1}},"spec_version":1,"weights":"{"ab" * 32}"}}'
)
CHANGES: list[dict[str, Any]] = [
    {"model": "MobileNetV2"},
    {"weights": "cd" * 32},
    {"alpha": 1.0},
    {"alpha": None},
    {"layer": "conv_pw_11_relu"},
    {"pool": "max"},
    {"pool": "none"},
    {"dtype": "float32"},
    {"precision": "bfloat16"},
    *({"preprocessing": variant} for name, variant in NAMED.items() if name != "tf"),
    *(
        {"preprocessing": replace(NAMED["tf"], **change)}
        for change in ({"order": "bgr"}, {"scale": 1.0}, {"mean": (1.0, 1.0, 1.5)}, {"std": (1.0, 1.0, 2.0)})
    ),
    *(
        {"reading": Reading(**{"height": 224, "width": 224, **change})}
        for change in (
            {"height": 225},
            {"width": 225},
            {"name": "keras-compat"},
            {"fit": "crop"},
            {"fit": "pad"},
            {"bits": 12},
            {"interpolation": "bicubic"},
        )
    ),
]

numbers = st.floats(-1e6, 1e6)
triples = st.tuples(numbers, numbers, numbers)
not_zero = st.floats(1e-6, 1e6)
specs = st.builds(
    FeatureSpec,
    model=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    weights=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    reading=st.builds(
        Reading,
        st.integers(1, 4096),
        st.integers(1, 4096),
        st.just("pillow"),
        st.sampled_from(FITS),
        st.sampled_from(INTERPOLATIONS),
    ),
    preprocessing=st.builds(
        Preprocessing, st.sampled_from(["rgb", "bgr"]), numbers, triples, st.tuples(not_zero, not_zero, not_zero)
    ),
    alpha=st.none() | not_zero,
    layer=st.text(),
    pool=st.sampled_from(POOLS),
    dtype=st.sampled_from(DTYPES),
)


def test_the_key_never_changes_by_accident() -> None:
    """A known spec has a known text and key: a change would make every existing cache miss."""
    assert SPEC.to_json() == CANONICAL
    assert SPEC.key == "82716c7590b96c2a95b9a7e25e1812fe51dd628cb817983f65bc2d1cf799a6b8"
    assert SPEC.key == hashlib.sha256(CANONICAL.encode()).hexdigest()


def test_whatever_changes_a_value_changes_the_key() -> None:
    """Each change of one field changes the key, for every field of the spec."""
    keys = {replace(SPEC, **change).key for change in CHANGES}
    assert len(keys | {SPEC.key}) == len(CHANGES) + 1
    assert {name for change in CHANGES for name in change} == {field.name for field in fields(FeatureSpec)}


def test_what_changes_no_value_is_not_in_the_key() -> None:
    """Batch size, threads, paths and versions of libraries are not part of a spec."""
    described = json.dumps(SPEC.describe())
    assert not [word for word in ("batch", "thread", "keras", "tensorflow", "numpy", "path") if word in described]


@pytest.mark.parametrize("name", ["pillow", "keras-compat"])
def test_the_version_of_the_reading_is_in_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version makes all old features miss."""
    spec = replace(SPEC, reading=Reading(224, 224, name))
    before = spec.key
    monkeypatch.setitem(reading.VERSIONS, name, 99)
    assert spec.key != before


@given(specs)
def test_json_is_canonical_and_is_read_again(spec: FeatureSpec) -> None:
    """Any spec is equal after a round trip, also through indented JSON."""
    text = spec.to_json()
    assert text.isascii()
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == text
    for same in (text, text.encode(), json.dumps(spec.describe(), indent=4)):
        again = FeatureSpec.from_json(same)
        assert again == spec
        assert again.to_json() == text


def test_equal_specs_have_equal_keys() -> None:
    """A whole number is the same alpha as its float."""
    assert replace(SPEC, alpha=1) == replace(SPEC, alpha=1.0)
    assert replace(SPEC, alpha=1).key == replace(SPEC, alpha=1.0).key


CHANGED = [
    ("spec_version", 2),
    ("spec_version", 0),
    ("spec_version", True),
    ("spec_version", 1.0),
    ("pool", "median"),
    ("pool", None),
    ("dtype", "float64"),
    ("model", "../../etc"),
    ("model", ".."),
    ("model", 5),
    ("weights", "short"),
    ("weights", ["ab" * 32]),
    ("alpha", 1),
    ("alpha", "0.75"),
    ("alpha", float("nan")),
    ("alpha", 10**400),
    ("layer", None),
    ("layer", ["last"]),
    ("layer", 7),
    ("precision", "float64"),
    ("extra", 1),
    ("reading", None),
    ("reading", {}),
    ("reading", {**SPEC.reading.describe(), "version": 2}),
    ("reading", {**SPEC.reading.describe(), "size": [224.0, 224.0]}),
    ("reading", {**SPEC.reading.describe(), "size": [224.5, 224]}),
    ("reading", {**SPEC.reading.describe(), "size": [True, 224]}),
    ("reading", {**SPEC.reading.describe(), "size": ["224", 224]}),
    ("reading", {**SPEC.reading.describe(), "size": [224]}),
    ("reading", {**SPEC.reading.describe(), "size": [0, 224]}),
    ("reading", {**SPEC.reading.describe(), "size": [float("inf"), 224]}),
    ("reading", {**SPEC.reading.describe(), "fit": []}),
    ("reading", {**SPEC.reading.describe(), "name": "other"}),
    ("preprocessing", {}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "version": 2}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "map": "other"}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "order": "gbr"}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "scale": 1}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "scale": float("inf")}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "mean": [1.0, 1.0]}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "mean": [1.0, 1.0, None]}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "std": [1.0, 1.0, 0.0]}),
    ("preprocessing", {**SPEC.preprocessing.describe(), "std": "111"}),
]


@pytest.mark.parametrize("name, value", CHANGED)
def test_foreign_json_is_refused(name: str, value: object) -> None:
    """JSON that this version would not write is not read; the message has the version that it reads."""
    with pytest.raises(StoreError, match="not a feature spec of version 1: .*; a newer featstore may read it"):
        FeatureSpec.from_json(json.dumps(SPEC.describe() | {name: value}))


@pytest.mark.parametrize("name", SPEC.describe())
def test_json_without_a_field_is_refused(name: str) -> None:
    """All fields are required."""
    described = SPEC.describe()
    del described[name]
    with pytest.raises(StoreError):
        FeatureSpec.from_json(json.dumps(described))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=5,
)


@given(st.sampled_from(list(SPEC.describe())), json_values)
def test_any_value_of_a_field_is_read_as_it_is_or_refused(name: str, value: object) -> None:
    """No value is converted: a spec that is read would be written as the same text."""
    text = json.dumps(SPEC.describe() | {name: value}, sort_keys=True, separators=(",", ":"))
    try:
        found = FeatureSpec.from_json(text)
    except StoreError:
        return
    assert found.to_json() == text


@given(st.text() | st.binary())
def test_any_text_is_refused(text: str | bytes) -> None:
    """No other exception than StoreError."""
    with pytest.raises(StoreError):
        FeatureSpec.from_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "1", '"x"', "1" * 5000, '{"reading":' * 50_000])
def test_json_that_is_not_a_spec_is_refused(text: str) -> None:
    """Deep, long and short JSON raises StoreError."""
    with pytest.raises(StoreError):
        FeatureSpec.from_json(text)


def test_the_folder_says_what_it_is() -> None:
    """Its name has the model, its alpha unless that is 1, the variant, the size and the first digits of the key."""
    assert SPEC.folder == f"MobileNet-0.75/tf-224-{SPEC.key[:12]}"
    for alpha in (None, 1.0):
        spec = replace(SPEC, alpha=alpha)
        assert spec.folder == f"MobileNet/tf-224-{spec.key[:12]}"
    spec = replace(SPEC, reading=Reading(32, 48), preprocessing=Preprocessing("rgb", 0.5))
    assert spec.folder == f"MobileNet-0.75/custom-32x48-{spec.key[:12]}"


@pytest.mark.parametrize("name", NAMED)
def test_a_named_variant_has_its_name(name: str) -> None:
    """Equal numbers have the name, even if the user gave numbers."""
    named = NAMED[name]
    spec = replace(SPEC, preprocessing=Preprocessing(named.order, named.scale, named.mean, named.std))
    assert spec.variant == name


@given(specs)
def test_the_folder_stays_below_the_cache(spec: FeatureSpec) -> None:
    """It has two names, neither hidden nor with a path."""
    parts = spec.folder.split("/")
    assert len(parts) == 2
    assert all(part[0].isalnum() and part.isascii() and os.path.basename(part) == part for part in parts)


@pytest.mark.parametrize(
    "model", ["", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "/", "ä", "VGG١٦", "a b", "a\n", "a\0"]
)
def test_a_model_that_is_not_a_name_is_refused(model: str) -> None:
    """The model becomes the name of a folder."""
    with pytest.raises(UsageError, match="expected a name"):
        replace(SPEC, model=model)


@pytest.mark.parametrize("weights", ["", "AB" * 32, "ab" * 31, "ab" * 33, "ab" * 32 + "\n"])
def test_weights_that_are_not_a_digest_are_refused(weights: str) -> None:
    """A SHA-256 in lower-case hex is expected."""
    with pytest.raises(UsageError, match="SHA-256"):
        replace(SPEC, weights=weights)


@pytest.mark.parametrize(
    "what, value, remedy", [("pool", "sum", "avg, max, none"), ("dtype", "f2", "float16, float32")]
)
def test_unknown_words_are_answered_with_the_list(what: str, value: str, remedy: str) -> None:
    """The message has the word and the possible ones."""
    with pytest.raises(UsageError, match=f"{what} '{value}' is not known: use one of {remedy}"):
        replace(SPEC, **{what: value})
