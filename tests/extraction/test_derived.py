"""Derived rows: what follows from rows of another key equals what is computed, or is refused in both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore import extract
from featstore.datasets.file_lists import list_files
from featstore.errors import StoreError, UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.misses import explain
from featstore.extraction.pipeline import Extraction
from featstore.extraction.recipe import Recipe
from featstore.features.load import load_features
from featstore.features.views import load_views
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from helpers.photos import write_photos

layers = keras.layers


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("derived") / "photos", 4)


def rows(extraction: Extraction, cache: Path) -> np.ndarray:
    """Return the rows of all views, (n, views, ...)."""
    return load_views(extraction.manifest.pictures, extraction.plans, Cache(cache))


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error of a row, relative to its largest number."""
    found, expected = (x.reshape(len(x), -1).astype(np.float64) for x in (found, expected))
    return float((np.abs(found - expected).max(axis=1) / np.abs(expected).max(axis=1)).max())


def save(path: Path, end: Callable[[Any], Any]) -> dict[str, Any]:
    """Save a network of patches with `end` on top, and return the options that name it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    patches = layers.Conv2D(6, 8, 8, name="patches")(layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, end(patches)).save(path)
    return {"model": str(path), "preprocess": "raw"}


NOT_MAPS: dict[int, Callable[[Any], Any]] = {
    1: layers.GlobalAveragePooling2D(name="vectors"),
    2: layers.Reshape((16, 6), name="tokens"),
    4: layers.Reshape((4, 4, 3, 2), name="volumes"),
}


@pytest.mark.parametrize("dimensions", NOT_MAPS)
@pytest.mark.parametrize("pool", ["avg", "max"])
def test_what_is_not_a_map_is_refused_with_one_line_in_both_ways(
    photos: Path, tmp_path: Path, dimensions: int, pool: Any
) -> None:
    """From an empty cache, and after the outputs were kept unpooled."""
    options = save(tmp_path / "base.keras", NOT_MAPS[dimensions])
    said = []
    for cache, keep in ((tmp_path / "empty", False), (tmp_path / "kept", True)):
        if keep:
            extract(photos, pool="none", cache=cache, **options)
        with pytest.raises(UsageError, match=f"found outputs with {dimensions} dimension") as refused:
            extract(photos, pool=pool, cache=cache, **options)
        said.append(str(refused.value))
    assert said[0].startswith(said[1])  # the network can name a layer with maps, kept rows cannot


def test_rows_that_an_earlier_release_pooled_from_tokens_are_not_served(photos: Path, tmp_path: Path) -> None:
    """They are one number an image, and complete in the cache."""
    options = save(tmp_path / "base.keras", NOT_MAPS[2])
    kept = extract(photos, pool="none", cache=tmp_path / "cache", **options)
    spec = replace(kept.features[0].spec, pool="avg")
    store = RowStore(tmp_path / "cache" / spec.folder, spec.key, spec.to_json(), dict)
    with store.writing() as writer:
        writer.append([row_id(p.digest) for p in kept.manifest.pictures], np.ones(8, np.float16))
    with pytest.raises(UsageError, match="found outputs with 2 dimensions"):
        extract(photos, pool="avg", cache=tmp_path / "cache", **options)
    with pytest.raises(UsageError, match="found outputs with 2 dimensions"):
        load_features(kept.manifest, spec, cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="found outputs with 2 dimensions"):
        explain(photos, [Recipe(pool="avg", **options)], tmp_path / "cache")


def test_channels_that_come_first_are_not_pooled_over(photos: Path, tmp_path: Path) -> None:
    """Such a map has three dimensions too. Unpooled it is kept as it is."""
    options = save(
        tmp_path / "base.keras",
        lambda x: layers.Conv2D(5, 3, name="turned", data_format="channels_first")(layers.Permute((3, 1, 2))(x)),
    )
    for _ in range(2):
        with pytest.raises(UsageError, match=r"found a layer 'turned' with the channels first: use pool='none'"):
            extract(photos, pool="avg", cache=tmp_path / "cache", **options)
        assert extract(photos, pool="none", cache=tmp_path / "cache", **options).features[0].shape == (5, 2, 2)


ENDS: dict[str, Callable[[Any], Any]] = {
    "relu": layers.ReLU(),
    "signed": layers.Activation("linear"),
    "centred": lambda x: x - keras.ops.mean(x, axis=(1, 2), keepdims=True) + 1e-2,
    "large": lambda x: x * 1e6,
    "small": lambda x: x * 1e-6,
    "one position": layers.AveragePooling2D(4),
}


@pytest.mark.parametrize("end", ENDS)
def test_rows_from_maps_are_as_exact_as_computed_ones(photos: Path, tmp_path: Path, end: str) -> None:
    """Within the tolerance of their dtype; where the map does not allow that, the base computes them."""
    options = save(tmp_path / "base.keras", ENDS[end])
    tolerances: dict[Any, float] = {"float16": 1e-3, "float32": 2e-5}
    for dtype in tolerances:
        extract(photos, pool="none", dtype=dtype, cache=tmp_path / dtype, **options)
    for pool in ("avg", "max"):
        computed = extract(photos, pool=pool, dtype="float32", cache=tmp_path / "computed", **options)
        exact = rows(computed, tmp_path / "computed")
        for dtype, tolerance in tolerances.items():
            served = extract(photos, pool=pool, dtype=dtype, cache=tmp_path / dtype, **options)
            assert off(rows(served, tmp_path / dtype), exact) <= tolerance, (pool, dtype)
            if (end, dtype, pool) == ("centred", "float16", "avg"):
                assert served.features[0].computed == 8
            elif end not in ("signed", "centred"):
                assert served.features[0].computed == 0, (pool, dtype)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("first", ["whole", "canvas"])
def test_the_centre_of_a_canvas_of_the_input_size_is_computed_once(
    photos: Path, tmp_path: Path, fit: Any, first: str
) -> None:
    """Whether the whole image came first or the crop. The other crops are computed."""
    ways: dict[str, dict[str, Any]] = {"whole": {}, "canvas": {"resize": 32}}
    options: dict[str, Any] = {"model": "tiny", "fit": fit, "cache": tmp_path}
    one = extract(photos, **options, **ways.pop(first))
    other = extract(photos, **options, **next(iter(ways.values())))
    assert (one.features[0].computed, other.features[0].computed) == (8, 0)
    assert np.array_equal(rows(one, tmp_path), rows(other, tmp_path))
    ten = extract(photos, **options, resize=32, views="ten")
    assert ten.features[0].computed == 72
    assert np.array_equal(rows(ten, tmp_path)[:, 4:5], rows(one, tmp_path))
    alone = extract(photos, **options | {"cache": tmp_path / "alone"}, resize=32, views="ten")
    assert off(rows(ten, tmp_path), rows(alone, tmp_path / "alone")) < 1e-3


def test_the_centre_follows_from_the_maps_of_whole_images(photos: Path, tmp_path: Path) -> None:
    """Both derivations at once; a larger canvas has other pixels and follows from nothing."""
    extract(photos, model="tiny", pool="none", fit="crop", cache=tmp_path)
    assert extract(photos, model="tiny", resize=32, cache=tmp_path).features[0].computed == 0
    assert extract(photos, model="tiny", resize=33, cache=tmp_path).features[0].computed == 8
    assert extract(photos, model="tiny", fit="squash", resize=32, cache=tmp_path).features[0].computed == 8


def test_the_canary_goes_with_the_rows(photos: Path, tmp_path: Path) -> None:
    """A key whose rows all follow has the canary of their origin; one with another canary takes none of its rows."""

    def path_of(extraction: Extraction) -> Path:
        return extraction.features[0].folder / "spec.json"

    few = list_files(sorted(photos.glob("discs/*.png")))
    whole = path_of(extract(photos, model="tiny", fit="crop", cache=tmp_path))
    canvas = path_of(extract(few, model="tiny", resize=32, cache=tmp_path))
    kept = json.loads(canvas.read_bytes())
    assert kept["canary"] == json.loads(whole.read_bytes())["canary"]
    kept["canary"]["features"]["alpha.png"] = kept["canary"]["features"]["turned.jpg"]
    canvas.write_text(json.dumps(kept))
    with pytest.raises(StoreError, match="features of the same images differ by"):
        extract(photos, model="tiny", resize=32, cache=Cache(tmp_path))


def test_rows_that_follow_and_rows_that_are_computed_in_one_run_are_compared(photos: Path, tmp_path: Path) -> None:
    """The key is new, so neither kind finds a canary there."""
    few = list_files(sorted(photos.glob("discs/*.png")))
    whole = extract(few, model="tiny", fit="crop", cache=tmp_path).features[0].folder / "spec.json"
    kept = json.loads(whole.read_bytes())
    kept["canary"]["features"]["alpha.png"] = kept["canary"]["features"]["turned.jpg"]
    whole.write_text(json.dumps(kept))
    with pytest.raises(StoreError, match="features of the same images differ by"):
        extract(photos, model="tiny", resize=32, cache=Cache(tmp_path))


def test_augmented_versions_follow_from_their_own_maps_only(photos: Path, tmp_path: Path) -> None:
    """The whole image is not one of them."""
    extract(photos, model="tiny", pool="none", views="augment:2", cache=tmp_path)
    plain, versions = extract(photos, model="tiny", views="augment:2", cache=tmp_path).features
    assert (plain.computed, versions.computed) == (0, 0)
    other = extract(photos, model="tiny", views="augment:2", augment="zoom=0.5", cache=tmp_path).features[1]
    assert other.computed == other.rows > 0
