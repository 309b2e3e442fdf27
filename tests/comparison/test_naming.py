"""Names of cells: each cell has its own, with no more words than that takes."""

from __future__ import annotations

from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from featstore.bases.source import BaseSource
from featstore.comparison.grid import make_grid
from featstore.comparison.naming import MAIN, NamedCells, name_bases, name_cells, row_name, shortest_tails
from featstore.datasets.digests import DigestMemory
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HeadName
from featstore.training.head_recipe import HeadRecipe


def named(*recipes: Recipe, heads: tuple[HeadName, ...] = ("logistic",)) -> NamedCells:
    """The cells of `recipes`, whose weights are taken to be remembered."""
    memory = DigestMemory(Path())
    cells = make_grid(recipes, heads, {}, HeadRecipe())
    unique = dict.fromkeys(cell.recipe for cell in cells)
    return name_cells(cells, [make_plan(recipe, memory) for recipe in unique])


def names(*recipes: Recipe) -> list[str]:
    """The names of those cells."""
    factors = named(*recipes).factors
    return [row_name(levels, factors.values()) for levels in factors.values()]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/w/a/base.keras"], ["base.keras"]),
        (["/w/a/base.keras", "/w/b/base.keras"], ["a/base.keras", "b/base.keras"]),
        (["/w/a/x/b.keras", "/w/b/x/b.keras", "/w/other.keras"], ["a/x/b.keras", "b/x/b.keras", "other.keras"]),
        (["/base.keras", "/b/base.keras"], ["/base.keras", "b/base.keras"]),
        (["imagenet", "random", "/w/imagenet.h5"], ["imagenet", "random", "imagenet.h5"]),
    ],
)  # fmt: skip
def test_the_end_of_a_path_is_as_long_as_it_must_be(paths: list[str], expected: list[str]) -> None:
    """Whole names of folders, and one more for each that two paths share."""
    assert list(shortest_tails(paths).values()) == expected


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        ([("VGG16", "imagenet"), ("tiny", "shipped")], ["VGG16", "tiny"]),
        ([("MobileNet", "imagenet", 0.25), ("MobileNet", "imagenet", 1.0)], ["MobileNet 0.25", "MobileNet"]),
        ([("VGG16", "imagenet"), ("VGG16", "/w/a.h5")], ["VGG16 (imagenet)", "VGG16 (a.h5)"]),
        ([("VGG16", "/w/1/a.h5"), ("VGG16", "/w/2/a.h5")], ["VGG16 (1/a.h5)", "VGG16 (2/a.h5)"]),
        (
            [("tiny", "random", None, 1), ("tiny", "random", None, 2), ("tiny", "shipped"), ("pixels", "shipped")],
            ["tiny (random, seed 1)", "tiny (random, seed 2)", "tiny (shipped)", "pixels"],
        ),
        ([("/1/b.keras", "shipped"), ("/2/b.keras", "shipped")], ["1/b.keras", "2/b.keras"]),
    ],
)
def test_bases_of_one_name_are_told_apart(bases: list[Any], expected: list[str]) -> None:
    """By the folder of a file, by the weights, by the seed of random weights; others keep their short name."""
    assert list(name_bases([BaseSource(*base) for base in bases]).values()) == expected


def test_what_is_named_twice_is_one_cell() -> None:
    """The same size in other words is not another cell; another map with the same values is, and has its own name."""
    pixels = [Recipe(model="pixels", size=size) for size in (None, 64, "64", "64x64", "32x64")]
    assert names(*pixels) == ["64", "32x64"]
    assert names(*(Recipe(model="pixels", preprocess=p) for p in ("keras", "rescale"))) == ["keras", "rescale"]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("resize", [None, 80]),
        ("scales", [None, "48,96"]),
        ("fit", ["squash", "crop", "pad"]),
        ("interpolation", ["bilinear", "nearest"]),
        ("reading", ["pillow", "keras-compat"]),
        ("bits", [16, 12]),
        ("layer", ["last", "block2a_out"]),
        ("pool", ["avg", "max", "none"]),
        ("dtype", ["float16", "float32"]),
        ("precision", ["float32", "bfloat16"]),
    ],
)
def test_every_axis_of_the_features_is_told(option: str, values: list[Any], remembered: None) -> None:
    """Where rows differ in it, it is a factor; where all rows have it and it is not the default, it is shared."""
    size = None if option == "scales" else 64
    recipes = [Recipe(model="tiny", **{"size": size, option: value}) for value in values]
    words = [f"{option} {'none' if value is None else value}" for value in values]
    assert names(*recipes) == words
    for recipe, expected in zip(recipes, [[], *([word] for word in words[1:])], strict=True):
        told = list(named(recipe).shared)
        assert told[: len(expected)] == expected
        assert names(recipe) == [f"tiny, keras, {size or 32}, one, logistic"]


def test_no_option_of_the_features_is_forgotten(remembered: None) -> None:
    """A field that comes later needs a level, or a name of the base."""
    [options] = named(Recipe(model="tiny")).options.values()
    of_the_base = {"weights", "alpha", "weights_seed", "top"}
    told_by_itself = {"augment"}  # which only augmented rows have
    assert {*MAIN, *options} == {field.name for field in fields(Recipe)} - of_the_base - told_by_itself | {"head"}


def test_a_default_is_not_told(remembered: None) -> None:
    """Not even if it is another one for another head: that of vgg-fc keeps maps."""
    cells = named(Recipe(model="tiny"), heads=("logistic", "vgg-fc", "scratch-cnn"))
    assert {row_name(levels, cells.factors.values()) for levels in cells.factors.values()} == {
        "tiny, keras, 32, logistic",
        "tiny, keras, 32, vgg-fc",
        "pixels, tf, 64, scratch-cnn",
    }
    assert cells.shared == ()
    assert [levels["pool"] for levels in cells.options.values()] == ["avg", "none", "none"]


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of the weights of `tiny` is known, so that nothing loads TensorFlow."""
    monkeypatch.setattr(
        "featstore.extraction.resolve._weights_digest", lambda source, *_: sha256(source.model.encode()).hexdigest()
    )


def test_cells_that_differ_in_no_factor_are_parted_by_their_keys(remembered: None) -> None:
    """The first keeps its name; the others get the first digits of their keys."""
    augmented = [Recipe(model="tiny", views="augment:2", augment=f"zoom={zoom}") for zoom in (0.1, 0.2)]
    assert len({*names(*augmented)}) == 2
