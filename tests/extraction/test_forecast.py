"""Forecasts: which images stand for all, what is cached, and what a trial in a process of its own says of the rest."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from featstore import extract, scan
from featstore.datasets.manifest import Manifest, Picture
from featstore.extraction import forecast as module
from featstore.extraction.cache import Cache
from featstore.extraction.forecast import Forecast, forecast, typical
from featstore.extraction.recipe import Recipe
from featstore.extraction.trial import Trial
from featstore.system.files import FileStat
from helpers.photos import write_photos

PIXELS = Recipe(model="pixels", size=8)


@pytest.fixture
def photos(tmp_path: Path) -> Manifest:
    """80 images."""
    return scan(write_photos(tmp_path / "photos", 40))


def pictures(sizes: list[int]) -> list[Picture]:
    return [Picture(f"{size}", FileStat(size, 0, 0, 0)) for size in sizes]


def test_a_trial_says_what_an_extraction_takes_and_stores_nothing(photos: Manifest, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    found = forecast(photos, PIXELS, cache)
    assert (found.images, found.missing, found.trial, found.engine) == (80, 80, 20, "none")
    assert found.rate is not None and found.memory is not None
    assert 0.1 < found.start < 60 and found.rate > 1 and found.memory > 2**24
    assert found.bytes == 80 * 8 * 8 * 3 * 2
    assert not list(tmp_path.glob("cache/**/*.h5"))


def test_what_is_in_the_cache_does_not_count(photos: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without missing rows nothing is tried."""
    tried: list[int] = []

    def run_trial(recipe: Recipe, cache: Cache, some: list[Picture], images: int) -> Trial:
        tried.append(images)
        return Trial("tensorflow", 5.0, 15.0, 1000.0, 10**9)

    monkeypatch.setattr(module, "run_trial", run_trial)
    cache = Cache(tmp_path / "cache")
    extract(photos.with_pictures(photos.pictures[:50]), model="pixels", size=8, cache=cache)
    found = forecast(photos, PIXELS, cache)
    assert (found.missing, tried) == (30, [30])
    assert (found.seconds, found.bytes) == (5.0 + 15.0, 30_000)
    text = "pixels keras 8: 30 images to extract, 50 are in the cache: about 20 s, of which 5 s to start and then 2.0 "
    assert str(found).startswith(f"{text}images/s on tensorflow; 0.0 MB of disk, 1.0 GB of memory; by a trial of 20 ")
    extract(photos, model="pixels", size=8, cache=cache)
    found = forecast(photos, PIXELS, cache)
    assert (found.seconds, tried) == (0.0, [30])
    assert str(found) == "pixels keras 8: nothing to extract, all rows are in the cache"


@pytest.mark.parametrize(("seconds", "text"), [(12.3, "12 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_time_in_words(seconds: float, text: str) -> None:
    """In seconds, minutes or hours."""
    made = Forecast(recipe=PIXELS, images=9, missing=9, trial=9, engine="none", start=seconds - 9, rest=9.0)
    assert f"about {text}, of which " in str(made)


def test_the_images_of_a_trial_are_as_large_as_all_on_average() -> None:
    """Also where a few are huge: the first or the smallest ones would mislead."""
    drawn = random.Random(0)
    sizes = [int(drawn.lognormvariate(11, 1.5)) for _ in range(5000)]
    sample = [picture.stat.size for picture in typical(pictures(sizes), 20)]
    assert len(sample) == 20
    assert sum(sample) / 20 == pytest.approx(sum(sizes) / 5000, rel=0.05)
    assert min(sample) < 2 * sorted(sizes)[125]


def test_few_images_are_all_in_the_trial() -> None:
    assert [picture.stat.size for picture in typical(pictures([5, 3, 9]), 20)] == [3, 5, 9]
