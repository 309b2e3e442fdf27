"""The differences between two specs, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from featstore.extraction.spec_diff import describe_differences
from featstore.images import reading
from featstore.images.preprocessing import NAMED, Preprocessing
from featstore.images.probe import Probe
from featstore.images.reading import Reading
from featstore.images.views import Augmentation
from featstore.spec import FeatureSpec

BASE = FeatureSpec("MobileNet", "1a2b3c4d" * 8, Reading(224, 224), NAMED["tf"], alpha=0.25)
OTHER = "5e6f7a8b" * 8
CROPS = Reading(224, 224, fit="crop", resize=(256, 256))
AUGMENTED = Reading(224, 224, augmentation=Augmentation())


def words(stored: FeatureSpec, asked: FeatureSpec) -> tuple[str, ...]:
    return describe_differences(stored.describe(), asked.describe())


def read(**change: Any) -> dict[str, Any]:
    return {"reading": replace(BASE.reading, **change)}


ONE_THING: list[tuple[dict[str, Any], str]] = [
    ({"weights": OTHER}, "weights differ (1a2b3c4d -> 5e6f7a8b)"),
    ({"alpha": 0.5, "weights": OTHER}, "width 0.25 -> 0.5"),
    ({"model": "VGG16", "alpha": None, "weights": OTHER}, "model MobileNet -> VGG16"),
    ({"layer": "conv_pw_11_relu"}, "layer last -> conv_pw_11_relu"),
    ({"pool": "max"}, "pooling avg -> max"),
    ({"dtype": "float32"}, "dtype float16 -> float32"),
    ({"preprocessing": NAMED["caffe"]}, "preprocessing tf -> caffe"),
    (
        {"preprocessing": Preprocessing("bgr", 0.5, (1.0, 2.0, 3.0))},
        "preprocessing tf -> order=bgr,scale=0.5,mean=1.0:2.0:3.0",
    ),
    (read(height=299, width=299), "input size 224 -> 299"),
    (read(width=320), "input size 224 -> 224x320"),
    (read(fit="crop"), "fit squash -> crop"),
    (read(interpolation="bicubic"), "interpolation bilinear -> bicubic"),
    (read(bits=12), "bits of grey images 16 -> 12"),
    (read(probe=Probe("blur", 3)), "probe none -> blur=3"),
    (read(name="keras-compat"), "reading pillow -> keras-compat"),
    ({"reading": CROPS}, "views whole images -> crops"),
    ({"reading": AUGMENTED}, "views whole images -> augmented"),
]


@pytest.mark.parametrize(("change", "phrase"), ONE_THING)
def test_one_thing_is_one_phrase(change: dict[str, Any], phrase: str) -> None:
    """Phrases lead from stored to requested; equal specs have none."""
    changed = replace(BASE, **change)
    assert words(BASE, changed) == (phrase,)
    assert len(words(changed, BASE)) == 1
    assert words(BASE, BASE) == words(changed, changed) == ()


def test_a_base_brings_its_own_preprocessing_and_size_along() -> None:
    """They do not count if both bases use what they were trained with; a chosen size or variant counts."""
    usual = FeatureSpec("InceptionV3", OTHER, Reading(299, 299), NAMED["tf"])
    caffe = FeatureSpec("VGG16", OTHER, Reading(224, 224), NAMED["caffe"])
    assert words(caffe, usual) == ("model VGG16 -> InceptionV3",)
    chosen = replace(usual, reading=Reading(224, 299), preprocessing=NAMED["raw"])
    assert words(caffe, chosen) == (
        "model VGG16 -> InceptionV3",
        "input size 224 -> 224x299",
        "preprocessing caffe -> raw",
    )


def test_crops_bring_their_fit_and_their_canvas_along() -> None:
    """Chosen ones count."""
    larger = Reading(280, 280, fit="crop", resize=(320, 320))
    assert words(replace(BASE, reading=CROPS), replace(BASE, reading=larger)) == ("input size 224 -> 280",)
    canvas = replace(CROPS, resize=(292, 292))
    assert words(replace(BASE, reading=CROPS), replace(BASE, reading=canvas)) == ("crops' canvas 256 -> 292",)
    squashed = replace(CROPS, fit="squash")
    assert words(BASE, replace(BASE, reading=squashed)) == ("views whole images -> crops",)
    padded = replace(CROPS, fit="pad")
    assert words(BASE, replace(BASE, reading=padded)) == ("views whole images -> crops", "fit squash -> pad")


def test_preprocessings_without_a_name_are_named_by_their_numbers() -> None:
    """Only numbers that differ are named, as on the command line, and the version."""
    one, other = (Preprocessing(order, 0.5, (1.0, 2.0, 3.0)) for order in ("rgb", "bgr"))
    found = words(replace(BASE, preprocessing=one), replace(BASE, preprocessing=other))
    assert found == ("preprocessing order=rgb -> order=bgr",)
    newer = {**BASE.describe(), "preprocessing": {**BASE.preprocessing.describe(), "version": 2}}
    assert describe_differences(newer, BASE.describe()) == ("preprocessing version=2 -> tf",)


def test_augmentations_differ_range_by_range() -> None:
    """Each range has its name on the command line."""
    other = replace(AUGMENTED, augmentation=Augmentation(zoom=0.5, mirror=False))
    assert words(replace(BASE, reading=AUGMENTED), replace(BASE, reading=other)) == (
        "augmentation's mirror True -> False",
        "augmentation's zoom 0.2 -> 0.5",
    )


def test_another_version_of_the_reading_code_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a spec cannot be read as a FeatureSpec any more, and is explained nevertheless."""
    stored = BASE.describe()
    monkeypatch.setitem(reading.VERSIONS, "pillow", 2)
    assert describe_differences(stored, BASE.describe()) == ("version of the reading code 1 -> 2",)


def test_what_has_no_words_is_named_as_it_is_written() -> None:
    """These are fields of later versions, and missing fields."""
    asked = BASE.describe()
    stored = {**asked, "spec_version": 0, "reading": {**asked["reading"], "gamma": 2.2}, "colour": [1, 2, 3]}
    del stored["dtype"]
    assert describe_differences(stored, asked) == (
        "dtype none -> float16",
        "colour [1, 2, 3] -> none",
        "reading.gamma 2.2 -> none",
        "spec_version 0 -> 1",
    )
    assert describe_differences({}, asked)
    assert describe_differences({"reading": None, "preprocessing": 7, "model": [], "alpha": {}}, asked)
    odd = {**asked, "reading": {**CROPS.describe(), "resize": 5, "size": "x"}}
    assert describe_differences(odd, {**asked, "reading": CROPS.describe()})
