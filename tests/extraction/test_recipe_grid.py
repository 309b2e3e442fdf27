"""The recipes of a grid."""

from __future__ import annotations

from typing import Any

import pytest

from featstore.errors import UsageError
from featstore.extraction.recipe import AXES, Recipe
from featstore.extraction.recipe_grid import make_recipes

THREE = ["MobileNet", "DenseNet121", "MobileNetV2"]


def test_one_value_of_each_is_one_recipe() -> None:
    """An option that is left out, or given as an empty sequence, has the default of a Recipe."""
    assert make_recipes(model="tiny") == [Recipe(model="tiny")]
    options: dict[str, Any] = {name: [] for name in ("weights", "alpha", "preprocess", "size", "views")}
    assert make_recipes(model=["tiny"], **options) == [Recipe(model="tiny")]
    given: dict[str, Any] = {"model": "tiny", "weights": "random", "size": 48, "views": "ten", "weights_seed": 3}
    assert make_recipes(**given, pool="max") == [Recipe(**given, pool="max")]


def test_every_value_meets_every_other() -> None:
    """Bases change slowest, then sizes, views and preprocessing."""
    recipes = make_recipes(model=("tiny", "pixels"), size=[None, "48"], views=["one"], preprocess=["keras", "raw"])
    found = [(recipe.model, recipe.size, recipe.preprocess) for recipe in recipes]
    assert found == [(m, s, p) for m in ("tiny", "pixels") for s in (None, "48") for p in ("keras", "raw")]


def test_weights_and_multipliers_are_paired_with_their_bases() -> None:
    """One for all, or one for each that takes it, in order."""
    assert [r.alpha for r in make_recipes(model=THREE, alpha=0.5)] == [0.5, None, 0.5]
    assert [r.alpha for r in make_recipes(model=THREE, alpha=[0.25, 0.35])] == [0.25, None, 0.35]
    for shared in ("random", ["random"], None, [None]):
        one = shared if isinstance(shared, str) else None if shared is None else shared[0]
        assert [r.weights for r in make_recipes(model=THREE, weights=shared)] == [one] * 3
    files = ["a.h5", "b.h5", "c.h5"]
    assert [r.weights for r in make_recipes(model=THREE, weights=files)] == files
    assert make_recipes(model="VGG16", alpha=0.5)[0].alpha == 0.5  # refused later, with the bases that take one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": []}, "`model` is missing: name a base"),
        ({"model": THREE, "weights": ["a.h5"]}, "3 bases but 1 `weights`"),
        ({"model": THREE, "weights": "a.h5"}, "3 bases but 1 `weights`"),
        ({"model": THREE, "weights": ["a.h5", "b.h5"]}, "3 bases but 2 `weights`"),
        ({"model": THREE, "alpha": [0.5, 0.5, 0.5]}, "3 `alpha`, but 2 of the bases take one"),
        ({"model": "tiny", "views": ["one", "six"]}, "'six' are not known"),
        ({"model": "tiny", "weights_seed": 3}, "weights_seed=3: has no effect, since no weights are random"),
        ({"model": "tiny", "arch": "x"}, "unknown option 'arch': did you mean model?"),
        ({"model": "tiny", "image_size": 3}, "unknown option 'image_size': did you mean size?"),
        ({"model": "tiny", "pool": "sum"}, "pool='sum': is not known: use one of avg, max, none"),
    ],
)
def test_what_makes_no_grid_is_refused(options: Any, message: str) -> None:
    """The message names the parameters."""
    with pytest.raises(UsageError, match=message):
        make_recipes(**options)


def test_every_option_of_features_is_an_axis() -> None:
    """A list of two values of each, in Python as on the command line; height and width are one value."""
    values: dict[str, Any] = {
        "size": [(64, 48), 64],
        "resize": ["none", 80],
        "views": ["one", "ten"],
        "scales": [None, "48,96"],
        "fit": ["crop", "pad"],
        "interpolation": ["bilinear", "nearest"],
        "reading": ["pillow", "keras-compat"],
        "layer": ["last", "stem_relu"],
        "pool": ["avg", "max"],
        "dtype": ["float16", "float32"],
        "precision": ["float32", "bfloat16"],
        "preprocess": ["keras", "raw"],
    }
    assert tuple(values) == AXES
    for name, pair in values.items():
        assert [getattr(r, name) for r in make_recipes(model="tiny", **{name: pair})] == [
            getattr(Recipe(model="tiny", **{name: value}), name) for value in pair
        ]
    assert make_recipes(model="tiny", size=(64, 48)) == [Recipe(model="tiny", size="64x48")]
    assert [r.pool for r in make_recipes(model="tiny", pool=["avg", "max"], fit=["crop", "pad"])] == [
        *["avg", "max"] * 2
    ]


def test_one_word_for_the_weights_of_all_bases_leaves_what_is_built_in_alone() -> None:
    """`tiny` was not trained on ImageNet, and pixels have no weights; `default` is what a base came with."""
    models = ["VGG16", "tiny", "pixels"]
    assert [r.weights for r in make_recipes(model=models, weights="ImageNet")] == ["imagenet", None, None]
    assert [r.weights for r in make_recipes(model=models, weights="random")] == ["random", "random", None]
    assert [r.weights for r in make_recipes(model=models, weights="default")] == [None, None, None]
    files = ["a.h5", "default", "default"]
    assert [r.weights for r in make_recipes(model=models, weights=files)] == ["a.h5", None, None]


def test_the_seed_is_that_of_random_weights() -> None:
    """Unless another one is given for them; it may be idle, as that of a head is not."""
    assert make_recipes(5, model="tiny")[0].weights_seed == 5
    assert make_recipes(5, model="tiny", weights="random", weights_seed=6)[0].weights_seed == 6


def test_augmentation_is_for_augmented_views() -> None:
    """Other views of the same grid do without it. If no views are augmented, it stays, and the plan refuses it."""
    recipes = make_recipes(model="tiny", views=["one", "augment:2"], augment="zoom=0.1")
    assert [recipe.augment for recipe in recipes] == [None, "zoom=0.1"]
    assert make_recipes(model="tiny", views="one", augment="zoom=0.1")[0].augment == "zoom=0.1"
