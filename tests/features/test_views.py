"""What a head is fed: rows of several views and bases, all at once or in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featstore.datasets.manifest import Picture
from featstore.errors import StoreError, UsageError
from featstore.extraction.pipeline import extract_features
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.features.views import load_in_blocks, load_views
from helpers.photos import write_photos

SIDE_BY_SIDE = (Recipe(model="pixels", size="8", views="flip"), Recipe(model="pixels", size="6", views="flip"))
NUMBERS = 2 * 3 * (8 * 8 + 6 * 6)  # of an image: two views of three channels at two sizes
IMAGE = 4 * NUMBERS  # bytes, as float32


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 5)
    return folder


def fed(work: Path, *recipes: Recipe) -> tuple[tuple[Picture, ...], tuple[Plan, ...], Path]:
    """The ten pictures, the plans of `recipes`, and the cache in which their rows are complete."""
    found = extract_features(work / "photos", recipes, work / "cache")
    return found.manifest.pictures, found.plans, work / "cache"


@pytest.mark.parametrize(
    ("most", "blocks"), [(3 * IMAGE, [3, 3, 3, 1]), (4 * IMAGE - 1, [3, 3, 3, 1]), (10 * IMAGE, [10]), (1, [1] * 10)]
)
def test_a_block_takes_no_more_than_was_said(work: Path, most: int, blocks: list[int]) -> None:
    """All views of all bases counted, as float32, but no less than an image; in their order, with nothing left out."""
    pictures, plans, cache = fed(work, *SIDE_BY_SIDE)
    found = list(load_in_blocks(pictures, plans, cache, most))
    assert [len(block) for block in found] == blocks
    assert max(block.nbytes for block in found) <= max(most, IMAGE)
    assert np.array_equal(np.concatenate(found), load_views(pictures, plans, cache))


def test_a_block_is_read_when_it_is_asked_for(work: Path) -> None:
    """So one is in memory at a time: with the cache gone after the first, there is no second."""
    pictures, plans, cache = fed(work, *SIDE_BY_SIDE)
    blocks = load_in_blocks(pictures, plans, cache, 5 * IMAGE)
    assert len(next(blocks)) == 5
    hidden = cache.rename(work / "hidden")
    try:
        with pytest.raises(StoreError, match="extract them first"):
            next(blocks)
    finally:
        hidden.rename(cache)


def test_by_default_a_small_data_set_is_one_block(work: Path) -> None:
    """Blocks are for maps of thousands of images."""
    assert [len(block) for block in load_in_blocks(*fed(work, *SIDE_BY_SIDE))] == [10]
    assert list(load_in_blocks((), *fed(work, *SIDE_BY_SIDE)[1:])) == []


def test_rows_of_one_base_keep_their_shape_and_those_of_several_are_flattened(work: Path) -> None:
    """(n, views, ...) as the base gives them, or the bases' numbers one after the other."""
    maps = [load_views(*fed(work, recipe)) for recipe in SIDE_BY_SIDE]
    assert [m.shape for m in maps] == [(10, 2, 8, 8, 3), (10, 2, 6, 6, 3)]
    both = load_views(*fed(work, *SIDE_BY_SIDE))
    assert np.array_equal(both, np.concatenate([m.reshape(10, 2, -1) for m in maps], axis=2))


def test_bases_side_by_side_need_the_same_views(work: Path) -> None:
    """A row of one would have no neighbour."""
    pictures, plans, cache = fed(work, SIDE_BY_SIDE[0], Recipe(model="pixels", size="6"))
    with pytest.raises(UsageError, match="need the same number of views"):
        list(load_in_blocks(pictures, plans, cache))
