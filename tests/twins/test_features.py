"""Rows of the cache against Pillow and Keras alone: every preprocessing with every fit, views, pooling and type."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

import featstore
from helpers.photos import draw
from helpers.twins import VARIANTS, VIEWS, calibrated, prepared, row_of, rows_in, see

SIZE, LARGER = 32, 40
EARLY = "conv_pw_1_relu"
FITS = ("squash", "crop", "pad")
DTYPES = {"float32": 1e-5, "float16": 1e-3}  # the largest error of a row relative to its length
POOLS = {
    "none": lambda maps: maps,
    "avg": lambda maps: maps.mean(axis=(1, 2)),
    "max": lambda maps: maps.max(axis=(1, 2)),
}


class Work(NamedTuple):
    """Images, a base with random weights as a network at each size, and the options that name it."""

    images: list[Path]
    networks: dict[int, Any]
    options: dict[str, Any]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("work")
    networks = {side: mobilenet(side) for side in (SIZE, LARGER)}
    keras.utils.set_random_seed(0)
    weights = calibrated(mobilenet(SIZE)).get_weights()
    for network in networks.values():
        network.set_weights(weights)
    networks[SIZE].save_weights(folder / "base.weights.h5")
    (folder / "images").mkdir()
    for number, (size, ending) in enumerate((((45, 61), "png"), ((70, 33), "jpg"), ((29, 29), "png"))):
        draw("discs", number, size).save(folder / "images" / f"{number}.{ending}")
    options = {"model": "MobileNet", "alpha": 0.25, "weights": str(folder / "base.weights.h5"), "size": SIZE}
    return Work(sorted((folder / "images").iterdir()), networks, options)


def mobilenet(side: int) -> Any:
    return keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(side, side, 3))


def maps_of(network: Any, layer: str, variant: str, pixels: np.ndarray) -> np.ndarray:
    """Return the activations of a layer for uint8 `pixels`."""
    output = network.output if layer == "last" else network.get_layer(layer).output
    return np.asarray(keras.Model(network.input, output)(prepared(variant, pixels), training=False))


def check(rows: dict[bytes, np.ndarray], ids: list[bytes], expected: np.ndarray, dtype: str) -> None:
    """Each row has its type and is as close to `expected` as that allows; there are no others."""
    assert set(rows) == set(ids)
    for id_, row in zip(ids, expected, strict=True):
        assert rows[id_].dtype == dtype
        assert rows[id_].shape == row.shape
        assert np.linalg.norm(rows[id_].astype(np.float64) - row) < DTYPES[dtype] * np.linalg.norm(row)


def see_all(images: list[Path], fit: str, views: str, side: int) -> tuple[list[bytes], np.ndarray]:
    """Return the ids of all rows of `images`, and their pixels."""
    seen = [(row_of(path, n), pixels) for path in images for n, pixels in see(path, fit, views, side).items()]
    return [id_ for id_, _ in seen], np.stack([pixels for _, pixels in seen])


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("fit", FITS)
def test_rows_are_those_of_pillow_and_keras(work: Work, tmp_path: Path, fit: str, views: str) -> None:
    """Every variant, with both types in turn: maps at an early layer, and what is pooled from them."""
    ids, pixels = see_all(work.images, fit, views, SIZE)
    maps = {variant: maps_of(work.networks[SIZE], EARLY, variant, pixels) for variant in VARIANTS}
    options = work.options | {"fit": fit, "views": views, "layer": EARLY, "cache": tmp_path}
    for parity, dtype in enumerate(DTYPES):
        variants = [v for place, v in enumerate(VARIANTS) if (place + FITS.index(fit) + len(views)) % 2 == parity]
        for pool in POOLS:
            made = featstore.extract(work.images[0].parent, preprocess=variants, pool=pool, dtype=dtype, **options)
            for variant, features in zip(variants, made.features, strict=True):
                check(rows_in(features.folder), ids, POOLS[pool](maps[variant]), dtype)


@pytest.mark.parametrize(
    ("fit", "pool", "dtype"), [("squash", "avg", "float16"), ("crop", "max", "float32"), ("pad", "avg", "float32")]
)
def test_rows_at_other_sizes_are_those_of_keras(work: Work, tmp_path: Path, fit: str, pool: str, dtype: str) -> None:
    """Each size is a view of its own; the variants are divided among the fits."""
    variants = list(VARIANTS)[FITS.index(fit) :: len(FITS)]
    options = work.options | {"fit": fit, "layer": EARLY, "pool": pool, "dtype": dtype, "cache": tmp_path}
    made = featstore.extract(work.images[0].parent, preprocess=variants, scales=str(LARGER), **options)
    for (variant, side), features in zip(product(variants, (SIZE, LARGER)), made.features, strict=True):
        ids, pixels = see_all(work.images, fit, "one", side)
        maps = maps_of(work.networks[side], EARLY, variant, pixels)
        check(rows_in(features.folder), ids, POOLS[pool](maps), dtype)


@pytest.mark.parametrize(
    ("layer", "pool", "dtype"),
    [
        ("last", "none", "float32"),
        ("last", "avg", "float16"),
        ("last", "max", "float32"),
        ("conv_dw_6_relu", "none", "float16"),
        ("conv_dw_6_relu", "avg", "float32"),
        ("conv_dw_6_relu", "max", "float16"),
    ],
)
def test_pooling_and_cuts_are_those_of_keras(work: Work, tmp_path: Path, layer: str, pool: str, dtype: str) -> None:
    """From an empty cache, so that the network pools itself; by default preprocessed as the base was trained."""
    made = featstore.extract(work.images[0].parent, layer=layer, pool=pool, dtype=dtype, cache=tmp_path, **work.options)
    ids, pixels = see_all(work.images, "squash", "one", SIZE)
    maps = maps_of(work.networks[SIZE], layer, "keras", pixels)
    check(rows_in(made.features[0].folder), ids, POOLS[pool](maps), dtype)


@pytest.mark.parametrize("fit", FITS)
def test_rows_of_augmented_versions_are_those_of_their_pixels(work: Work, tmp_path: Path, fit: str) -> None:
    """The base `pixels` keeps the versions as they are drawn; from them the rows of a network are those of Keras."""
    options: dict[str, Any] = {"fit": fit, "views": "augment:3", "augment": "rotation=10,crop=0.5", "cache": tmp_path}
    table, variants = table_of(work.images, tmp_path), list(VARIANTS)[FITS.index(fit) :: len(FITS)]
    drawn = featstore.extract(table, model="pixels", size=SIZE, preprocess="raw", dtype="float32", **options)
    pixels = rows_in(drawn.features[-1].folder)
    assert set(pixels) == {row_of(path, version) for path in work.images[:-1] for version in (1, 2, 3)}
    assert len({row.tobytes() for row in pixels.values()}) == len(pixels)
    assert all(np.array_equal(row, row.astype(np.uint8)) for row in pixels.values())
    made = featstore.extract(table, preprocess=variants, layer=EARLY, dtype="float32", **work.options, **options)
    for variant, features in zip(variants, made.features[len(variants) :], strict=True):
        maps = maps_of(work.networks[SIZE], EARLY, variant, np.stack(list(pixels.values())))
        check(rows_in(features.folder), list(pixels), POOLS["avg"](maps), "float32")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("model", "module", "size", "file", "dtype"),
    [
        ("MobileNet", "mobilenet", 224, "mobilenet_7_5_224_tf_no_top.h5", "float32"),
        ("MobileNet", "mobilenet", 224, "mobilenet_7_5_224_tf_no_top.h5", "float16"),
        ("DenseNet121", "densenet", 96, "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", "float32"),
        ("VGG16", "vgg16", 64, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "float16"),
    ],
)
def test_published_bases_are_those_of_keras(
    real_data: Path, tmp_path: Path, model: str, module: str, size: int, file: str, dtype: str
) -> None:
    """Real weights and photos, one of each way to preprocess: crops and their mirror images."""
    photos = sorted((real_data / "images" / "cats_dogs" / "test" / "cats").iterdir())[:8]
    weights, alpha = str(real_data / "weights" / file), {"alpha": 0.75} if model == "MobileNet" else {}
    build = getattr(keras.applications, model)
    network = build(include_top=False, weights=weights, input_shape=(size, size, 3), **alpha)
    ids, pixels = see_all(photos, "crop", "flip", size)
    inputs = getattr(keras.applications, module).preprocess_input(pixels.astype(np.float32))
    options: dict[str, Any] = {"model": model, "weights": weights, "size": size, "views": "flip", **alpha}
    made = featstore.extract(table_of(photos, tmp_path), dtype=dtype, cache=tmp_path, **options)
    check(rows_in(made.features[0].folder), ids, POOLS["avg"](np.asarray(network(inputs, training=False))), dtype)


def table_of(images: list[Path], folder: Path) -> Path:
    """Return a data set of `images`: the last is for validation, the others for training."""
    splits = ["train"] * (len(images) - 1) + ["val"]
    lines = [f"{path},{n % 2},{split}\n" for n, (path, split) in enumerate(zip(images, splits, strict=True))]
    (folder / "images.csv").write_text("path,label,split\n" + "".join(lines))
    return folder / "images.csv"
