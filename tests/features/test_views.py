"""The input of a head: rows of several views and bases, all at once or in blocks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.datasets.manifest import Picture
from featstore.errors import UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import extract_features
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.features.views import load_in_blocks, load_views
from featstore.store import inventory, open_shards
from featstore.store.reader import RowReader
from helpers.photos import write_photos

SIDE_BY_SIDE = (Recipe(model="pixels", size="8", views="flip"), Recipe(model="pixels", size="6", views="flip"))
NUMBERS = 2 * 3 * (8 * 8 + 6 * 6)  # of an image: two views of three channels at two sizes
IMAGE = 4 * NUMBERS  # bytes, as float32


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 5)
    return folder


def fed(work: Path, *recipes: Recipe) -> tuple[tuple[Picture, ...], tuple[Plan, ...], Cache]:
    """Return the ten pictures, the plans of `recipes`, and the cache in which their rows are complete."""
    cache = Cache(work / "cache")
    found = extract_features(work / "photos", recipes, cache)
    return found.manifest.pictures, found.plans, cache


@pytest.mark.parametrize(
    ("most", "blocks"), [(3 * IMAGE, [3, 3, 3, 1]), (4 * IMAGE - 1, [3, 3, 3, 1]), (10 * IMAGE, [10]), (1, [1] * 10)]
)
def test_a_block_takes_no_more_than_was_said(work: Path, most: int, blocks: list[int]) -> None:
    """All views of all bases count, as float32; a block has at least one image, and nothing is left out."""
    pictures, plans, cache = fed(work, *SIDE_BY_SIDE)
    found = list(load_in_blocks(pictures, plans, cache, most))
    assert [len(block) for block in found] == blocks
    assert max(block.nbytes for block in found) <= max(most, IMAGE)
    assert np.array_equal(np.concatenate(found), load_views(pictures, plans, cache))


def test_a_block_is_read_when_it_is_asked_for(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block is in memory at a time."""
    pictures, plans, cache = fed(work, *SIDE_BY_SIDE)
    read: list[int] = []
    real = RowReader.read
    monkeypatch.setattr(RowReader, "read", lambda self, ids: (read.append(len(ids)), real(self, ids))[1])
    blocks = load_in_blocks(pictures, plans, cache, 5 * IMAGE)
    assert read == []
    assert len(next(blocks)) == 5
    assert read == [10, 10]
    assert len(next(blocks)) == 5
    assert read == [10] * 4


def test_stores_are_opened_once_for_all_blocks(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the index nor `spec.json` is read again, and a shard is opened once, for any number of blocks."""
    pictures, plans, _ = fed(work, *SIDE_BY_SIDE)
    opened: Counter[str] = Counter()

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *arguments: (opened.update([name]), real(*arguments))[1])

    counted(inventory, "load_index")
    counted(inventory, "read_key_file")
    counted(open_shards, "_File")
    blocks = list(load_in_blocks(pictures, plans, Cache(work / "cache"), IMAGE))
    assert len(blocks) == 10
    assert opened == {"load_index": 2, "read_key_file": 2, "_File": 2}


def test_by_default_a_small_data_set_is_one_block(work: Path) -> None:
    """Blocks are for maps of thousands of images."""
    assert [len(block) for block in load_in_blocks(*fed(work, *SIDE_BY_SIDE))] == [10]
    assert list(load_in_blocks((), *fed(work, *SIDE_BY_SIDE)[1:])) == []


def test_rows_of_one_base_keep_their_shape_and_those_of_several_are_flattened(work: Path) -> None:
    """(n, views, ...) from one base, or the concatenated numbers of several."""
    maps = [load_views(*fed(work, recipe)) for recipe in SIDE_BY_SIDE]
    assert [m.shape for m in maps] == [(10, 2, 8, 8, 3), (10, 2, 6, 6, 3)]
    both = load_views(*fed(work, *SIDE_BY_SIDE))
    assert np.array_equal(both, np.concatenate([m.reshape(10, 2, -1) for m in maps], axis=2))


def test_bases_side_by_side_need_the_same_views(work: Path) -> None:
    """Rows of different views cannot be concatenated."""
    pictures, plans, cache = fed(work, SIDE_BY_SIDE[0], Recipe(model="pixels", size="6"))
    with pytest.raises(UsageError, match="need the same number of views"):
        list(load_in_blocks(pictures, plans, cache))
