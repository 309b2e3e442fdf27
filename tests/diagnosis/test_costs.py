"""`featstore doctor DATA`: a forecast for each base, and what the machine is too small for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import featstore
from featstore.diagnosis import costs
from featstore.errors import BaseUnavailable
from featstore.extraction import forecast
from featstore.extraction.cache import Cache
from featstore.extraction.recipe import Recipe
from featstore.extraction.trial import Trial
from featstore.system.machine import Memory
from helpers.cli import call
from helpers.photos import write_photos

TRIED: list[Recipe] = []


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight images, on a machine where they take four seconds and a terabyte of disk."""
    TRIED.clear()

    def run_trial(recipe: Recipe, cache: Cache, pictures: object, images: int) -> Trial:
        TRIED.append(recipe)
        if recipe.preprocess == "raw":
            raise BaseUnavailable("no weights here")
        return Trial("tensorflow", 5.0, 4.0, 2.0**40, 10**12)

    monkeypatch.setattr(forecast, "run_trial", run_trial)
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "cache"))
    return write_photos(tmp_path / "photos", 4)


def test_each_base_has_a_forecast_or_a_reason(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the disk and the memory are too small for fails."""
    monkeypatch.setattr(costs, "find_memory", lambda: Memory(10**10, 10**9, None))
    found = featstore.doctor(photos, model="pixels", size=8, preprocess=["keras", "raw"])
    [made] = found.forecasts
    assert (made.missing, made.seconds) == (8, 5.0 + 4.0)
    texts = [problem.text for problem in found.problems if problem.fails]
    assert texts[0] == "pixels: no weights here"
    assert "the features need 8796.1 GB of disk" in texts[1]
    assert texts[2].startswith("pixels keras 8 needs 1000.0 GB of memory, and 1.0 GB are available")
    assert "data: " in str(found) and "8 images" in str(found)


def test_the_command_prints_it_or_json(photos: Path) -> None:
    done = call("doctor", photos, "--model", "pixels", "--size", "8")
    assert done.code == 1
    assert "forecast: pixels keras 8: 8 images to extract: about 9 s" in done.out
    found = json.loads(call("doctor", photos, "--model", "pixels", "--size", "8", "--json").out)
    assert found["forecasts"][0]["seconds"] == 9.0
    assert found["data"]["images"] == 8


def test_without_a_model_usual_bases_are_tried(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights: nothing is downloaded for it."""
    made: list[Recipe] = []
    monkeypatch.setattr(costs, "forecast", lambda manifest, recipe, *_: made.append(recipe))
    monkeypatch.setattr(costs, "_problems_of", lambda *_: [])
    featstore.doctor(photos)
    assert [(recipe.model, recipe.weights) for recipe in made] == [(name, "random") for name in costs.USUAL]


@pytest.mark.parametrize("option", [("--model", "pixels"), ("--size", "32"), ("--label-from", "{label}_#")])
def test_options_of_a_forecast_need_data(option: tuple[str, str]) -> None:
    """They would do nothing without."""
    done = call("doctor", *option)
    assert (done.code, done.err) == (2, f"featstore: {option[0]}: is for a forecast; give DATA too\n")
    with pytest.raises(featstore.UsageError, match="give the data too"):
        featstore.doctor(model="pixels")


def test_files_that_cannot_be_read_are_no_work(photos: Path) -> None:
    """They lack their rows each time: nothing is tried on them, and nothing fails."""
    featstore.extract(photos, model="pixels", size=8)
    (photos / "discs" / "broken.png").write_bytes(b"\x89PNG")
    found = featstore.doctor(photos, model="pixels", size=8)
    assert [made.missing for made in found.forecasts] == [0]
    assert not any(problem.fails for problem in found.problems)
