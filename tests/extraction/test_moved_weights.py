"""Weights that were moved, and may have been renamed."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import pytest

from featstore.bases.build import build_new
from featstore.bases.source import parse_source
from featstore.datasets.digests import DigestMemory
from featstore.extraction.moved_weights import find_weights
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe

SIDE = 32


@pytest.fixture(autouse=True)
def nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("FEATSTORE_WEIGHTS", raising=False)


def resolved(recipe: Recipe, tmp_path: Path) -> object:
    return resolve_recipe(recipe, DigestMemory(tmp_path / "digests"))


def network(path: Path, filters: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    inputs = keras.Input((SIDE, SIDE, 3))
    keras.Model(inputs, keras.layers.Conv2D(filters, 3)(inputs)).save(path)
    return path


def weights(path: Path, seed: int, alpha: float = 0.25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    build_new(parse_source("MobileNet", "random", alpha, seed), SIDE, SIDE).model.save_weights(path)
    return path


def test_a_network_is_found_by_its_digest_under_any_name(tmp_path: Path) -> None:
    """Among others of its kind, and one of its name that is another network."""
    old = network(tmp_path / "old" / "mine.keras", 2)
    recipe = Recipe(model=str(old), preprocess="raw")
    spec = resolved(recipe, tmp_path)
    assert find_weights(recipe, spec, tmp_path / "run") is recipe  # it is there
    network(tmp_path / "run" / "mine.keras", 3)
    (tmp_path / "run" / "broken.keras").write_bytes(b"x")
    new = tmp_path / "run" / "renamed.keras"
    shutil.move(old, new)
    assert find_weights(recipe, spec, tmp_path / "run").model == str(new)
    new.unlink()
    assert find_weights(recipe, spec, tmp_path / "run") is recipe


def test_weights_are_found_by_their_name_or_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of another width are not theirs. With several that may be the ones, their digest decides."""
    old = weights(tmp_path / "old" / "w.weights.h5", 1)
    recipe = Recipe(model="MobileNet", alpha=0.25, weights=str(old), size=SIDE)
    spec = resolved(recipe, tmp_path)
    monkeypatch.setenv("FEATSTORE_WEIGHTS", str(tmp_path / "team"))
    weights(tmp_path / "team" / "a.weights.h5", 1, alpha=0.5)
    new = tmp_path / "team" / "b.weights.h5"
    shutil.move(old, new)
    assert find_weights(recipe, spec, tmp_path / "run").weights == str(new)
    weights(tmp_path / "run" / "w.weights.h5", 2)
    assert find_weights(recipe, spec, tmp_path / "run").weights == str(new)
    new.unlink()
    assert find_weights(recipe, spec, tmp_path / "run").weights == str(tmp_path / "run" / "w.weights.h5")


def test_what_names_no_file_is_not_looked_for(tmp_path: Path) -> None:
    """Published and random weights are found by Keras or drawn."""
    recipe = Recipe(model="tiny", weights="random", size=SIDE)
    assert find_weights(recipe, resolved(recipe, tmp_path), tmp_path) is recipe
