"""Plans: which rows a recipe asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featstore.datasets.digests import DigestMemory
from featstore.errors import UsageError
from featstore.extraction.plan import Plan, make_plan
from featstore.extraction.recipe import Recipe
from featstore.images.views import Augmentation
from helpers.light import forbid_tensorflow


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes plans for `pixels`, which needs no TensorFlow."""
    forbid_tensorflow(monkeypatch)
    return lambda **options: make_plan(Recipe(model="pixels", **options), DigestMemory(tmp_path))


def sizes(plan: Plan) -> list[tuple[int, int]]:
    return [(part.spec.reading.height, part.spec.reading.width) for part in plan.parts]


def test_by_default_an_image_is_one_row_of_the_whole(plan: Any) -> None:
    """The image is squashed."""
    found = plan()
    assert (found.views, found.plain, found.augmented) == (1, 0, None)
    assert found.parts[0].views == (0,)
    assert (found.spec.reading.fit, found.spec.reading.resize) == ("squash", None)


@pytest.mark.parametrize(("views", "numbers", "plain"), [("flip", (4, 9), 0), ("five", (0, 1, 2, 3, 4), 4)])
def test_crops_come_from_a_canvas_of_the_shorter_side(plan: Any, views: str, numbers: Any, plain: int) -> None:
    """Size / 0.875 by default; all kinds of crops are rows of the same store as ten."""
    found = plan(views=views, size="224")
    assert (found.parts[0].views, found.plain) == (numbers, plain)
    assert (found.spec.reading.fit, found.spec.reading.resize) == ("crop", (256, 256))
    assert found.spec == plan(views="ten", size="224").spec == plan(views="one", size="224", resize="256").spec


def test_the_canvas_can_be_chosen(plan: Any) -> None:
    """It has one side or two, and images may be squashed instead of cropped."""
    found = plan(views="ten", size="48x64", resize="70x80", fit="squash")
    assert (found.spec.reading.fit, found.spec.reading.resize) == ("squash", (70, 80))
    assert plan(views="ten", size="48x64").spec.reading.resize == (55, 73)


def test_several_sizes_are_several_parts(tmp_path: Path) -> None:
    """The first is that of `size`, and has the plain view."""
    found = make_plan(Recipe(model="tiny", views="flip", scales="48,64"), DigestMemory(tmp_path))
    assert sizes(found) == [(32, 32), (48, 48), (64, 64)]
    assert (found.views, found.plain) == (6, 0)
    assert [part.spec.reading.resize for part in found.parts] == [(37, 37), (55, 55), (73, 73)]


def test_augmented_versions_are_rows_of_their_own(plan: Any) -> None:
    """They are for training, next to the plain view, whose key does not change."""
    found = plan(views="augment:3", augment="zoom=0.5")
    assert found.parts == plan().parts
    assert found.augmented.views == (1, 2, 3)
    assert found.augmented.spec.reading.augmentation == Augmentation(zoom=0.5)
    assert found.augmented.spec.key != plan(views="augment:3").augmented.spec.key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": "six"}, "views 'six' are not known"),
        ({"augment": "zoom=0.1"}, "is for augmented views"),
        ({"views": "ten", "resize": "40"}, "smaller than the size 64x64"),
        ({"scales": "48", "resize": "70"}, "do not go together"),
        ({"scales": "48"}, "needs rows of one width"),
        ({"scales": "64"}, "each size may be named once"),
        ({"scales": "x"}, "size 'x': give one side"),
        ({"reading": "keras-compat", "views": "ten"}, "keras-compat takes whole images only"),
        ({"pool": "avg"}, "model='pixels': has no layers and nothing to pool"),
        ({"layer": "conv1"}, "model='pixels': has no layers and nothing to pool"),
        ({"weights": "random"}, "pixels is not a network and has no weights"),
        ({"top": True}, "pixels has no ImageNet classifier"),
    ],
)
def test_what_does_not_go_together_is_refused(plan: Any, options: dict[str, Any], message: str) -> None:
    """The error comes before anything is computed."""
    with pytest.raises(UsageError, match=message):
        plan(**options)
