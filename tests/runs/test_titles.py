"""The titles of pictures: data, head, base with its width, size, and the first layer that is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from featstore.extraction.recipe import Recipe
from featstore.images.preprocessing import NAMED
from featstore.images.reading import Reading
from featstore.runs.run import Run
from featstore.runs.titles import title_of, tuned_title
from featstore.spec import FeatureSpec


def run(recipe: dict[str, Any], *sizes: tuple[int, int], head: str = "bn-dropout", data: str = "../cats_dogs") -> Run:
    spec = FeatureSpec(
        model="x", weights="0" * 64, alpha=None, reading=Reading(1, 1), preprocessing=NAMED["raw"], dtype="float16"
    )
    specs = tuple(replace(spec, reading=Reading(*size)) for size in sizes)
    given = object.__new__(Run)
    for name, value in {"recipes": (Recipe(**recipe),), "specs": specs, "head": head, "data": data}.items():
        object.__setattr__(given, name, value)
    return given


@pytest.mark.parametrize(
    ("recipe", "sizes", "title"),
    [
        ({"model": "MobileNet", "alpha": 0.25}, [(224, 224)], "cats_dogs: bn-dropout on MobileNet 0.25, 224 px"),
        ({"model": "MobileNet", "alpha": 1.0}, [(224, 160)], "cats_dogs: bn-dropout on MobileNet, 224×160 px"),
        (
            {"model": "VGG16", "weights": "random"},
            [(256, 256), (384, 384)],
            "cats_dogs: bn-dropout on VGG16 (random weights), 256 + 384 px",
        ),
        ({"model": "my/own base.keras"}, [(64, 64)], "cats_dogs: bn-dropout on own base, 64 px"),
    ],
)
def test_a_title_names_what_the_run_is_of(recipe: dict[str, Any], sizes: list[tuple[int, int]], title: str) -> None:
    """The width of a base and random weights are never left out: figures differ by them."""
    assert title_of(run(recipe, *sizes)) == title


def test_a_fine_tuned_run_names_the_first_layer_that_was_trained() -> None:
    """Not the layer whose output is cached, which is frozen."""
    head = run({"model": "VGG16"}, (150, 150))
    assert tuned_title(head, "block5_conv2").endswith("on VGG16, 150 px, then fine-tuned from block5_conv2 on")
    assert tuned_title(head, None).endswith(", then fine-tuned as a whole")
