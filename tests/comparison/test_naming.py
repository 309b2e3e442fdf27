"""Names of cells: each cell has its own, with no more words than that takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featstore.bases.source import BaseSource
from featstore.comparison.grid import make_grid
from featstore.comparison.naming import name_bases, name_cells, row_name, shortest_tails
from featstore.datasets.digests import DigestMemory
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.training.head_recipe import HeadRecipe


def names(*recipes: Recipe) -> list[str]:
    """The names of the cells of `recipes`, whose weights are taken to be remembered."""
    memory = DigestMemory(Path())
    cells = make_grid(recipes, ("logistic",), {}, HeadRecipe())
    factors = name_cells(cells, [make_plan(recipe, memory) for recipe in recipes])
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


def test_an_option_without_a_factor_parts_cells_by_their_keys() -> None:
    """The first keeps its name; the others get the first digits of their keys."""
    found = names(*(Recipe(model="pixels", dtype=dtype) for dtype in ("float16", "float32")))
    found += names(*(Recipe(model="pixels", interpolation=name) for name in ("bilinear", "nearest", "bicubic")))
    assert [len(name.split()) for name in found] == [1, 2, 1, 2, 2]
    assert len({*found}) == 4  # `pixels` twice: the firsts of two grids
