"""What can change a value is in the key, and nothing else: one thing at a time, through real extractions.

Each change is asked about first (`explain` names it), then extracted: every row is computed, and none is served that
was made in another way. What changes no value is a hit.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import featstore
from featstore.bases.build import load_base
from featstore.bases.source import parse_source
from featstore.datasets.digests import DigestMemory
from featstore.extraction import cache as cache_module
from featstore.extraction.misses import CacheLookup, explain
from featstore.extraction.pipeline import Extraction
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.images import decode, reading
from featstore.spec import FeatureSpec
from helpers.networks import save_weights
from helpers.photos import draw, write_photos

LATER = functools.partial(DigestMemory, clock=lambda: 10**19)
IMAGES = 24
Options = dict[str, Any]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with 24 images in `photos`. Digests are remembered although the files are new."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    monkeypatch.setattr(cache_module, "DigestMemory", LATER)
    write_photos(Path("photos"), IMAGES // 2)


def extract(options: Options, data: str = "photos") -> Extraction:
    return featstore.extract(data, **{"model": "pixels", "size": 32, **options})


def look_up(options: Options, data: str = "photos") -> CacheLookup:
    """Return the look-up of the features that the options are about: the augmented ones, if there are any."""
    return explain(data, [Recipe(**{"model": "pixels", "size": 32, **options})]).features[-1]


def rows(extraction: Extraction) -> np.ndarray:
    return featstore.load_features(extraction.manifest, extraction.features[0].spec).X


PIXELS: list[tuple[Options, Options, str]] = [
    ({}, {"size": 40}, "input size 32 -> 40"),
    ({}, {"size": "32x40"}, "input size 32 -> 32x40"),
    ({}, {"fit": "crop"}, "fit squash -> crop"),
    ({}, {"fit": "pad"}, "fit squash -> pad"),
    ({}, {"interpolation": "bicubic"}, "interpolation bilinear -> bicubic"),
    ({}, {"reading": "keras-compat"}, "reading pillow -> keras-compat"),
    ({}, {"preprocess": "caffe"}, "preprocessing rescale -> caffe"),
    (
        {"preprocess": "order=rgb,scale=1,mean=1"},
        {"preprocess": "order=bgr,scale=1,mean=1"},
        "preprocessing order=rgb -> order=bgr",
    ),
    ({}, {"dtype": "float32"}, "dtype float16 -> float32"),
    ({}, {"views": "five"}, "views whole images -> crops"),
    ({"views": "five"}, {"views": "five", "resize": 40}, "crops' canvas 37 -> 40"),
]
AUGMENTED: list[tuple[Options, str]] = [
    ({"augment": "zoom=0.5"}, "augmentation's zoom 0.2 -> 0.5"),
    ({"augment": "shear=20"}, "augmentation's shear 11.5 -> 20.0"),
    ({"augment": "mirror=0"}, "augmentation's mirror True -> False"),
    ({"augment": "rotation=15"}, "augmentation's rotation 0.0 -> 15.0"),
    ({"augment": "brightness=0.3"}, "augmentation's brightness 0.0 -> 0.3"),
    ({"augment": "crop=0.5"}, "augmentation's crop 1.0 -> 0.5"),
    ({"augment": "seed=1"}, "augmentation's seed 0 -> 1"),
    ({"fit": "crop"}, "fit squash -> crop"),
]
TINY = {"model": "tiny"}
RANDOM = {"model": "tiny", "weights": "random"}
NARROW = {"model": "MobileNet", "weights": "random", "alpha": 0.25}
NETWORKS: list[tuple[Options, Options, str]] = [
    (TINY, {**TINY, "layer": "stem_relu"}, "layer last -> stem_relu"),
    (TINY, {**TINY, "pool": "max"}, "pooling avg -> max"),
    (TINY, {**TINY, "preprocess": "raw"}, "preprocessing tf -> raw"),
    (RANDOM, {**RANDOM, "weights_seed": 1}, "weights differ"),
    ({"model": "pixels", "size": 32}, TINY, "model pixels -> tiny, pooling none -> avg"),
    (NARROW, {**NARROW, "alpha": 0.5}, "width 0.25 -> 0.5"),
]


@pytest.mark.parametrize(("first", "then", "says"), PIXELS + NETWORKS)
def test_what_changes_a_value_misses(first: Options, then: Options, says: str) -> None:
    """All rows are computed again, with other numbers, and the old ones stay a hit."""
    before = extract(first)
    lookup = look_up(then)
    assert (lookup.hit, lookup.stored, lookup.key_is_stored) == (False, 0, False)
    assert lookup.nearest is not None
    assert ", ".join(lookup.nearest.differences).partition(" (")[0] == says
    assert (lookup.nearest.folder, lookup.nearest.images) == (before.features[0].folder, IMAGES)
    after = extract(then)
    assert after.features[0].computed == after.features[0].rows == IMAGES * len(after.features[0].views)
    old, new = rows(before), rows(after)
    assert old.shape != new.shape or not np.array_equal(old, new)
    assert look_up(first).hit and look_up(then).hit


@pytest.mark.parametrize(("change", "says"), AUGMENTED)
def test_what_changes_augmented_versions_misses(change: Options, says: str) -> None:
    """Each range, the seed, and the fit before; the plain view is shared if it is the same."""
    first = {"views": "augment:2"}
    extract(first)
    lookup = look_up(first | change)
    assert lookup.nearest is not None
    assert lookup.nearest.differences == (says,)
    plain, versions = extract(first | change).features
    assert plain.computed == (IMAGES if "fit" in change else 0)
    assert versions.computed == versions.rows > 0
    assert look_up(first).hit and look_up(first | change).hit


@pytest.mark.parametrize("name", reading.VERSIONS)
def test_another_version_of_the_reading_code_misses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any change of pixels raises the version (test_golden.py checks that), and all old rows miss."""
    options = {"reading": name}
    extract(options)
    old = reading.VERSIONS[name]
    monkeypatch.setitem(reading.VERSIONS, name, 99)
    lookup = look_up(options)
    assert lookup.nearest is not None
    assert lookup.nearest.differences == (f"version of the reading code {old} -> 99",)
    assert extract(options).features[0].computed == IMAGES


def test_other_weights_in_the_same_file_miss() -> None:
    """They miss under the same name, with the same size and mtime."""
    file = save_weights(load_base(parse_source("tiny", "random", None, 0), 32, 32), Path("w"))
    options = {"model": "tiny", "weights": str(file)}
    old = extract(options)
    before = file.stat()
    save_weights(load_base(parse_source("tiny", "random", None, 1), 32, 32), Path("w"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    lookup = look_up(options)
    assert lookup.nearest is not None
    digests = [spec.weights[:8] for spec in (old.features[0].spec, lookup.spec)]
    assert lookup.nearest.differences == (f"weights differ ({digests[0]} -> {digests[1]})",)
    assert extract(options).features[0].computed == IMAGES


def test_other_bytes_of_an_image_miss() -> None:
    """They miss under the same name, with the same size and mtime: only this image is computed."""
    path = Path("photos/discs/changed.bmp")  # of which every picture takes as many bytes
    draw("discs", 100).save(path)
    old = rows(extract({}))
    before = path.stat()
    time.sleep(0.02)  # for clocks that tick slowly
    draw("discs", 101).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    lookup = look_up({})
    assert [(Path(item.path), item.why) for item in lookup.missing] == [(path, "changed")]
    again = extract({})
    assert again.features[0].computed == 1
    places = np.flatnonzero((rows(again) != old).reshape(IMAGES + 1, -1).any(axis=1))
    assert [again.manifest.pictures[place].path for place in places] == [str(path)]


# What changes no value


def touch() -> str:
    for path in Path("photos").rglob("*.png"):
        os.utime(path, ns=(1, 1))
    return "photos"


def move() -> str:
    Path("photos").rename("elsewhere")
    return "elsewhere"


def copy() -> str:
    shutil.copytree("photos", "copy")
    return "copy"


def rename_and_relabel() -> str:
    for number, path in enumerate(sorted(Path("photos/discs").iterdir())):
        path.rename(f"photos/stripes/renamed{number}.png")
    Path("photos/stripes").rename("photos/train")
    return "photos/train"


def forget_digests() -> str:
    shutil.rmtree("cache/digests")
    return "photos"


@pytest.mark.parametrize("change", [touch, move, copy, rename_and_relabel, forget_digests])
def test_what_changes_no_value_is_a_hit(change: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is decoded and nothing is computed."""
    old = rows(extract({}))
    data = change()
    monkeypatch.setattr(decode, "open_image", pytest.fail)
    lookup = look_up({}, data)
    assert (lookup.hit, lookup.stored, lookup.missing, lookup.nearest) == (True, IMAGES, (), None)
    again = extract({}, data)
    assert (again.features[0].computed, again.features[0].images) == (0, IMAGES)
    assert np.array_equal(np.sort(rows(again), axis=0), np.sort(old, axis=0))


KERAS_FILE: Options = {"model": "own.keras", "size": 32}
SAME: list[tuple[Options, Options]] = [
    ({}, {"size": "32x32", "fit": "squash", "views": "one", "interpolation": "bilinear"}),
    ({}, {"layer": "last", "pool": "none", "preprocess": "std=255"}),
    ({"preprocess": "tf"}, {"preprocess": "order=rgb,scale=1/255,mean=0.5,std=0.5"}),
    ({"preprocess": "scale=0.01,mean=1"}, {"preprocess": "scale=1/200,mean=0.5,std=0.5"}),
    ({"views": "five"}, {"views": "five", "fit": "crop", "resize": "37x37"}),
    ({"views": "augment:2"}, {"views": "augment:2", "augment": "crop=1,mirror=true,shear=11.5,zoom=0.20,seed=0"}),
    ({"views": "augment:2", "augment": "rotation=0"}, {"views": "augment:2", "augment": "rotation=-0.0,shear=11.50"}),
    (TINY, {**TINY, "layer": "widen_relu"}),
    (RANDOM, {**RANDOM, "weights": "random.weights.h5"}),
    (NARROW, {**NARROW, "alpha": 0.25, "layer": "conv_pw_13_relu"}),
    ({**NARROW, "alpha": None}, {**NARROW, "alpha": 1}),
    ({**KERAS_FILE, "preprocess": "raw"}, {"model": "moved.keras", "preprocess": "raw", "layer": "end"}),
]


@pytest.mark.parametrize(("first", "then"), SAME)
def test_one_computation_has_one_key(first: Options, then: Options) -> None:
    """However it is written: defaults, names, quotients, seeds where nothing is drawn, a file by another path."""
    save_weights(load_base(parse_source("tiny", "random", None, 0), 32, 32), Path("random"))
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 3, name="end")(inputs)).save("own.keras")
    shutil.copy("own.keras", "moved.keras")
    extract(first)
    assert look_up(then).hit
    assert [features.computed for features in extract(then).features] == [0] * (1 + ("augment" in str(first)))


def test_maps_and_layers_that_are_nearly_the_same_have_keys_of_their_own() -> None:
    """A last layer of ConvNeXt pools no further, so its name is `last` only for maps."""
    memory = LATER(Path("cache/digests"))

    def key(**options: Any) -> str:
        return make_plan(Recipe(**options), memory).spec.key

    assert key(model="pixels", preprocess="tf") != key(model="pixels", preprocess="scale=0.0078431,mean=1")
    assert key(model="tiny") != key(model="tiny", layer="widen_bn")
    convnext = {"model": "ConvNeXtTiny", "weights": "random", "size": 32}
    assert key(**convnext, pool="none") == key(**convnext, pool="none", layer="layer_normalization")
    assert key(**convnext, pool="avg") != key(**convnext, pool="avg", layer="layer_normalization")


def test_ten_new_images_cost_ten() -> None:
    """The other images were moved and relabelled."""
    extract({})
    data = rename_and_relabel()
    for number in range(10):
        draw("discs", 500 + number).save(f"{data}/{number}.png")
    assert len(look_up({}, data).missing) == 10
    found = extract({}, data).features[0]
    assert (found.images, found.computed) == (IMAGES + 10, 10)


@pytest.mark.parametrize("options", [{}, RANDOM])
def test_upgraded_libraries_are_no_reason_to_miss(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are recorded next to the rows."""
    extract(options)
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "99.0")
    assert set(featstore.system.environment.versions().values()) >= {"99.0"}
    assert look_up(options).hit
    assert extract(options).features[0].computed == 0


def test_every_field_of_a_spec_has_been_changed() -> None:
    """A new field needs a case here."""
    memory = LATER(Path("cache/digests"))

    def described(options: Options) -> set[tuple[str, str]]:
        plan = make_plan(Recipe(**{"model": "pixels", "size": 32, **options}), memory)
        spec = (plan.augmented or plan.parts[0]).spec.describe()
        inner = spec.pop("reading")
        ranges = inner.pop("augmentation", {})
        return {(name, str(value)) for part in (spec, inner, ranges) for name, value in part.items()}

    augmented = {"views": "augment:2"}
    pairs = [(first, then) for first, then, _ in PIXELS + NETWORKS]
    pairs += [(augmented, augmented | change) for change, _ in AUGMENTED]
    pairs += [(TINY, {**TINY, "precision": "bfloat16"})]  # computed in test_precision.py, where the processor can
    changed = {name for first, then in pairs for name, _ in described(first) ^ described(then)}
    every = {name for name, _ in described({"views": "five"}) | described(augmented)}
    assert every - changed == {"spec_version"}  # which is a constant
    assert FeatureSpec.__dataclass_fields__.keys() <= changed | {"reading"}
