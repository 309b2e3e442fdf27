"""Extraction from end to end with the built-in base: what is computed and reused, and that the numbers are right."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import featstore
from featstore import extract
from featstore.bases.build import load_base
from featstore.bases.held import release_bases
from featstore.bases.source import parse_source
from featstore.datasets.digests import DigestMemory
from featstore.datasets.file_lists import list_files
from featstore.datasets.sources import scan
from featstore.datasets.splits import complete_splits
from featstore.engines.tensorflow import TensorFlowNetwork
from featstore.errors import DataError, StoreError, UsageError
from featstore.extraction import cache as cache_module
from featstore.extraction import pipeline
from featstore.extraction.canary import IMAGES, NAMES
from featstore.extraction.pipeline import Extraction
from featstore.features.load import load_features, open_features
from featstore.images import decode
from helpers.light import forbid_tensorflow
from helpers.networks import shrink_convnext
from helpers.photos import write_photos


@pytest.fixture(autouse=True)
def no_file_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember digests although the files are new."""
    monkeypatch.setattr(cache_module, "DigestMemory", functools.partial(DigestMemory, clock=lambda: 10**19))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes in bytes of the images that were decoded, without the canary."""
    seen: list[int] = []
    decode_rgb = decode.decode_rgb
    canary = {(IMAGES / name).read_bytes() for name in NAMES}

    def count(raw: bytes, *how: Any) -> Image.Image:
        if raw not in canary:
            seen.append(len(raw))
        return decode_rgb(raw, *how)

    monkeypatch.setattr(decode, "decode_rgb", count)
    return seen


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """48 drawn images, among them greyscale, transparent and palette ones."""
    folder = write_photos(tmp_path_factory.mktemp("images") / "photos", 24)
    for mode, path in zip(("L", "RGBA", "P"), sorted(folder.glob("*/*.png"))[::7], strict=False):
        with Image.open(path) as image:
            image.convert(mode).save(path)
    yield folder


def rows(extraction: Extraction, cache: Path, number: int = 0) -> np.ndarray:
    return load_features(extraction.manifest, extraction.features[number].spec, cache=cache).X


def direct(folder: Path, side: int, pool: Any = np.mean) -> np.ndarray:
    """Return the pooled features of the PNG images in `folder`, computed without featstore's extraction."""
    model = load_base(parse_source("tiny", None, None, 0), side, side)
    paths = [picture.path for picture in scan(folder).pictures]
    pixels = [decode.decode_rgb(Path(p).read_bytes()).resize((side, side), Image.Resampling.BILINEAR) for p in paths]
    prepared = keras.applications.imagenet_utils.preprocess_input(np.stack(pixels).astype("float32"), mode="tf")
    return pool(np.asarray(model(prepared, training=False)), axis=(1, 2))


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest relative L2 difference of a row."""
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


class Stop(BaseException):
    """An interruption."""


class StopAfter:
    """A progress display that is interrupted at an image."""

    def __init__(self, images: int) -> None:
        self.left = images

    def start(self, total: int, reused: int) -> None: ...

    def tell(self, text: str) -> None: ...

    def advance(self, computed: bool) -> None:
        self.left -= 1
        if not self.left:
            raise Stop


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float16", 1e-3)])
@pytest.mark.parametrize("pool", ["avg", "max"])
def test_features_are_those_of_the_network_called_directly(
    images: Path, tmp_path: Path, dtype: str, tolerance: float, pool: str
) -> None:
    """Stored and loaded again, they agree within 1e-5 in float32 and 1e-3 in float16."""
    extraction = extract(images, model="tiny", pool=pool, dtype=dtype, cache=tmp_path)
    expected = direct(images, 32, np.mean if pool == "avg" else np.max)
    assert difference(rows(extraction, tmp_path), expected) < tolerance


@pytest.mark.parametrize("stop", [1, 33, 47])
def test_a_run_goes_on_where_it_was_cut_off(images: Path, tmp_path: Path, stop: int) -> None:
    """The second run computes only the missing rows, and all rows are those of one run."""
    with pytest.raises(Stop):
        extract(images, model="tiny", dtype="float32", cache=tmp_path / "cut", progress=StopAfter(stop))
    resumed = extract(images, model="tiny", dtype="float32", cache=tmp_path / "cut")
    whole = extract(images, model="tiny", dtype="float32", cache=tmp_path / "whole")
    assert resumed.features[0].computed == 48 - 28 * (stop > 28)  # the canary is in the first batch
    assert difference(rows(resumed, tmp_path / "cut"), rows(whole, tmp_path / "whole")) < 1e-6


def test_the_order_of_the_images_does_not_matter(images: Path, tmp_path: Path) -> None:
    """A row depends on its image only, not on the others in the batch."""
    forwards = [picture.path for picture in scan(images).pictures]
    one = extract(list_files(forwards), model="tiny", dtype="float32", cache=tmp_path / "1")
    two = extract(list_files(forwards[::-1]), model="tiny", dtype="float32", cache=tmp_path / "2")
    assert difference(rows(two, tmp_path / "2")[::-1], rows(one, tmp_path / "1")) < 1e-6


def test_nothing_is_done_twice(
    images: Path, tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run decodes no image and runs no network, and reports that."""
    first = extract(images, model="tiny", cache=tmp_path).features[0]
    assert (first.images, first.computed, len(decoded)) == (48, 48, 48)
    forbid_tensorflow(monkeypatch)
    again = extract(images, model="tiny", cache=tmp_path).features[0]
    assert (again.images, again.computed, len(decoded)) == (48, 0, 48)
    assert again.shape == first.shape == (256,)


def test_an_image_is_decoded_once_for_all_variants(images: Path, tmp_path: Path, decoded: list[int]) -> None:
    """Several preprocessing variants share the reading; each has rows of its own."""
    extraction = extract(images, model="tiny", preprocess=["keras", "raw", "caffe"], cache=tmp_path)
    assert len(decoded) == 48
    assert [f.computed for f in extraction.features] == [48] * 3
    assert difference(rows(extraction, tmp_path, 1), rows(extraction, tmp_path, 0)) > 0.01


def test_an_image_is_decoded_once_for_all_bases_sizes_and_views(
    images: Path, tmp_path: Path, decoded: list[int]
) -> None:
    """Several networks see it in one run, and their rows are those of runs of their own."""
    many = extract(
        images, model=["tiny", "pixels"], size=[32, 40], views=["one", "flip"], layer="last", cache=tmp_path / "many"
    )
    assert len(decoded) == 48
    assert len(many.features) == 8
    for number, features in enumerate(many.features):
        recipe = features.recipe
        alone = extract(
            images, model=recipe.model, size=recipe.size, views=recipe.views, cache=tmp_path / f"alone-{number}"
        )
        assert alone.features[0].spec == features.spec
        assert difference(rows(many, tmp_path / "many", number), rows(alone, tmp_path / f"alone-{number}")) < 1e-3


def test_several_layers_and_poolings_are_one_pass_of_the_network(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where some of the rows are stored: those that are missing are made together."""
    batches: list[int] = []
    run_batch = TensorFlowNetwork._run_batch
    monkeypatch.setattr(TensorFlowNetwork, "_run_batch", lambda self, x: batches.append(len(x)) or run_batch(self, x))
    extract(images, model="tiny", layer="stem_relu", pool="max", cache=tmp_path)
    assert batches == [32, 20]
    batches.clear()
    many = extract(images, model="tiny", layer=["last", "stem_relu"], pool=["avg", "max"], cache=tmp_path)
    assert batches == [32, 20]
    assert [features.computed for features in many.features] == [48, 48, 48, 0]
    for number, features in enumerate(many.features):
        layer, pool = features.recipe.layer, features.spec.pool
        alone = extract(images, model="tiny", layer=layer, pool=pool, cache=tmp_path / f"alone-{number}")
        assert difference(rows(many, tmp_path, number), rows(alone, tmp_path / f"alone-{number}")) < 1e-3


def test_large_bases_are_not_in_memory_together(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    """Then each has a run of its own, which decodes the images again."""
    monkeypatch.setattr(pipeline, "MOST_PARAMETERS", 1000)
    extract(images, model=["tiny", "pixels"], size=[32, 40], cache=tmp_path)
    assert len(decoded) == 2 * 48  # the two sizes of tiny; pixels need no parameters and come with one of them


def test_a_map_of_any_shape(images: Path, tmp_path: Path) -> None:
    """Height comes before width, and an unpooled row is a map."""
    extraction = extract(images, model="tiny", size="40x64", pool="none", cache=tmp_path)
    assert extraction.features[0].shape == (10, 16, 256)
    assert rows(extraction, tmp_path).shape == (48, 10, 16, 256)
    assert extraction.features[0].describe()["size"] == [40, 64]


def test_maps_serve_only_as_exact_as_they_are(images: Path, tmp_path: Path) -> None:
    """Pooled float32 features are not made from float16 maps; the reverse is."""
    extract(images, model="tiny", pool="none", dtype="float16", cache=tmp_path / "16")
    assert extract(images, model="tiny", dtype="float32", cache=tmp_path / "16").features[0].computed == 48
    extract(images, model="tiny", pool="none", dtype="float32", cache=tmp_path / "32")
    for dtype, pool, expected in (("float16", "max", np.max), ("float32", "avg", np.mean)):
        served = extract(images, model="tiny", dtype=dtype, pool=pool, cache=tmp_path / "32")
        assert served.features[0].computed == 0
        limit = 1e-3 if dtype == "float16" else 1e-5
        assert difference(rows(served, tmp_path / "32"), direct(images, 32, expected)) < limit


@pytest.fixture
def small_convnext(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Release the networks before and after, so that the small ConvNeXt is not mixed with the whole one."""
    shrink_convnext(monkeypatch)
    release_bases()
    yield
    release_bases()


@pytest.mark.usefixtures("small_convnext")
def test_convnext_is_not_pooled_from_its_maps(images: Path, tmp_path: Path) -> None:
    """It pools before its last normalization, so its features are those of Keras with pooling="avg"."""
    few = list_files([p.path for p in scan(images).pictures][:2])
    options: dict[str, Any] = {"model": "ConvNeXtTiny", "weights": "random", "size": 64, "dtype": "float32"}
    options["cache"] = tmp_path
    extract(few, pool="none", **options)
    pooled = extract(few, pool="avg", **options)
    assert pooled.features[0].computed == 2
    keras.utils.set_random_seed(0)
    model = keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    pixels = [decode.decode_rgb(Path(p.path).read_bytes()).resize((64, 64), 2) for p in few.pictures]
    expected = np.asarray(model(np.stack(pixels).astype("float32"), training=False))
    assert difference(rows(pooled, tmp_path), expected) < 1e-5


def test_the_default_cache_can_be_set_in_the_environment(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$FEATSTORE_CACHE has priority over `cache` in the working folder, an argument over both."""
    monkeypatch.chdir(tmp_path)
    few = list_files([scan(images).pictures[0].path])
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "variable"))
    assert extract(few, model="tiny").features[0].folder.is_relative_to(tmp_path / "variable")
    assert extract(few, model="tiny", cache="given").features[0].folder.is_relative_to("given")
    monkeypatch.delenv("FEATSTORE_CACHE")
    assert extract(few, model="tiny").features[0].folder.is_relative_to("cache")
    assert {p.name for p in tmp_path.iterdir()} == {"variable", "given", "cache"}


def test_files_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    """They have no row in X, and the others keep theirs."""
    folder = tmp_path / "photos"
    write_photos(folder, 2)
    (folder / "discs" / "0.png").write_bytes(b"")
    extraction = extract(folder, model="tiny", cache=tmp_path / "cache")
    assert [(Path(s.path).name, s.reason) for s in extraction.manifest.skipped] == [("0.png", "the file is empty")]
    features = load_features(extraction.manifest, extraction.features[0].spec, cache=tmp_path / "cache")
    assert features.y.tolist() == ["discs", "discs", "stripes", "stripes"]
    assert features.ids.tolist() == [picture.digest for picture in extraction.manifest.pictures]


@pytest.mark.parametrize("files, reason", [(0, "no image files found"), (2, "none of 2 files can be used; the first")])
def test_data_without_a_single_image_is_an_error(tmp_path: Path, files: int, reason: str) -> None:
    """The message says that there were no files, or what was wrong with the first one."""
    (tmp_path / "photos").mkdir()
    for number in range(files):
        (tmp_path / "photos" / f"{number}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=reason):
        extract(list_files([tmp_path / "photos"]), model="tiny", cache=tmp_path / "cache")


def test_features_that_were_not_extracted_are_asked_for(images: Path, tmp_path: Path) -> None:
    """Loading computes nothing; the message names an image and the remedy."""
    extraction = extract(images, model="tiny", cache=tmp_path)
    with pytest.raises(StoreError, match=r"48 of 48 images have no features yet .*\.png\): extract them first"):
        load_features(extraction.manifest, extraction.features[0].spec, cache=tmp_path / "other")


def test_a_split_can_be_loaded_alone(tmp_path: Path) -> None:
    """It has the rows of its pictures, in their order."""
    for split, each in (("train", 3), ("test", 2)):
        write_photos(tmp_path / "photos" / split, each, first=10 * each)
    extraction = extract(tmp_path / "photos", model="tiny", cache=tmp_path / "cache")
    spec = extraction.features[0].spec
    test = load_features(extraction.manifest, spec, split="test", cache=tmp_path / "cache")
    assert test.X.shape == (4, 256)
    assert test.y.tolist() == ["discs", "discs", "stripes", "stripes"]
    for load in (load_features, open_features):
        with pytest.raises(DataError, match="none of its 10 images is in the split 'val'; there are train and test"):
            load(extraction.manifest, spec, split="val", cache=tmp_path / "cache")
        with pytest.raises(UsageError, match="split='valid': is not known"):
            load(extraction.manifest, spec, split="valid", cache=tmp_path / "cache")
        with pytest.raises(UsageError, match="expected a Manifest, .* found Extraction"):
            load(extraction, spec, cache=tmp_path / "cache")  # type: ignore[arg-type]


def test_splits_that_are_still_to_be_made_are_no_empty_splits(tmp_path: Path) -> None:
    """Zero rows without a word would train on nothing."""
    extraction = extract(write_photos(tmp_path / "photos", 3), model="pixels", size=8, cache=tmp_path / "cache")
    spec = extraction.features[0].spec
    with pytest.raises(DataError, match=r"make splits with complete_splits\(manifest\)"):
        load_features(extraction.manifest, spec, split="train", cache=tmp_path / "cache")
    divided = complete_splits(extraction.manifest)
    assert len(load_features(divided, spec, split="train", cache=tmp_path / "cache").y) >= 2


NOTHING_TO_DO = """
import sys, featstore
[data, cache, runs] = sys.argv[1:]
assert featstore.extract(data, model="tiny", cache=cache).features[0].computed == 0
assert not {"tensorflow", "keras", "numpy", "h5py", "PIL", "sklearn"} & set(sys.modules)
featstore.train_head(data, model="tiny", cache=cache, runs=runs)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def test_a_run_with_nothing_to_do_loads_no_network(images: Path, tmp_path: Path) -> None:
    """Neither TensorFlow nor numpy nor h5py; training the logistic head from the cache loads no TensorFlow either."""
    extract(images, model="tiny", cache=tmp_path / "cache")
    arguments = [str(images), str(tmp_path / "cache"), str(tmp_path / "runs")]
    subprocess.run([sys.executable, "-W", "error", "-c", NOTHING_TO_DO, *arguments], check=True)


def test_the_front_door_is_complete() -> None:
    """Every exported name exists, and no module has the name of an exported function."""
    for name in featstore.__all__:
        assert getattr(featstore, name).__name__ == name
    assert set(featstore.__all__) == set(featstore._HOMES)
    with pytest.raises(AttributeError):
        featstore.nonsense  # noqa: B018


def test_light_names_load_no_tensorflow() -> None:
    """Importing any exported name is cheap."""
    code = """
import sys, featstore
for name in featstore.__all__:
    getattr(featstore, name)
    assert not {"tensorflow", "keras"} & set(sys.modules), name
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sizes_are_those_of_the_rows_as_stored(images: Path, tmp_path: Path) -> None:
    """Where float16 overflows, rows are float32 in a float16 key, and their bytes are counted as such."""
    recipe: dict[str, Any] = {"model": "tiny", "pool": "none", "cache": tmp_path}
    for preprocess, item in (("keras", 2), ("scale=1000000", 4)):
        [found] = extract(images, preprocess=preprocess, **recipe).features
        assert found.spec.dtype == "float16"
        assert found.bytes == found.describe()["bytes"] == found.rows * 8 * 8 * 256 * item
