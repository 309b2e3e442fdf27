"""Bases in memory: small ones stay for the next call, a large one is dropped before another is built."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import featstore
from featstore.bases import build as building
from featstore.bases import held
from featstore.bases.held import HeldBase, hold_base, hold_network, release_bases
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.training.job import train
from helpers.photos import write_photos

MB = 2**20


class Model:
    """A network with one weight of `size` bytes, which refers to itself as Keras networks do."""

    def __init__(self, size: int) -> None:
        self.weights = [SimpleNamespace(shape=(size // 4,))]
        self.itself = self


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Start and end each test without bases in memory."""
    release_bases()
    yield
    release_bases()


def test_what_is_held_is_not_built_again() -> None:
    """The same identity returns the same base and the same compiled function."""
    base = hold_base("a", lambda: HeldBase(Model(MB), ""))
    assert hold_base("a", lambda: pytest.fail("built again")) is base
    network = hold_network(base, "n", object)
    assert hold_network(base, "n", lambda: pytest.fail("compiled again")) is network
    assert hold_base("b", lambda: HeldBase(Model(MB), "")) is not base


def test_a_large_base_is_gone_before_the_next_is_built() -> None:
    """The base and its functions are collected first, so that two are never in memory."""
    base = hold_base("large", lambda: HeldBase(Model(held.MOST_BYTES + 4), ""))
    network = hold_network(base, "n", lambda: HeldBase(Model(4), ""))
    seen = [weakref.ref(base.model), weakref.ref(network)]
    del base, network
    hold_base(
        "small", lambda: (pytest.fail("still there") if any(r() for r in seen) else None, HeldBase(Model(4), ""))[1]
    )


def test_small_bases_stay_together() -> None:
    """There is a limit on their number and their bytes; the least recently used is dropped first."""
    bases = {name: hold_base(name, lambda: HeldBase(Model(MB), "")) for name in "abcd"}
    hold_base("a", lambda: pytest.fail("built again"))
    hold_base("e", lambda: HeldBase(Model(MB), ""))
    for name in "acd":
        assert hold_base(name, lambda: pytest.fail("built again")) is bases[name]
    assert hold_base("b", lambda: HeldBase(Model(held.MOST_BYTES), "")) is not bases["b"]
    hold_base("f", lambda: HeldBase(Model(MB), ""))  # b alone takes all the bytes that may stay
    assert list(held._held) == ["b", "f"]


def test_a_base_that_cannot_be_built_is_not_held() -> None:
    """The next call tries again."""
    with pytest.raises(ZeroDivisionError):
        hold_base("a", lambda: 1 / 0)
    assert hold_base("a", lambda: HeldBase(Model(4), "")).model.weights


def test_a_base_keeps_few_networks() -> None:
    """The least recently used is dropped first."""
    base = hold_base("a", lambda: HeldBase(Model(MB), ""))
    networks = {name: hold_network(base, name, object) for name in "abcd"}
    hold_network(base, "a", object)
    hold_network(base, "e", object)
    assert list(base.networks) == ["c", "d", "a", "e"]
    assert base.networks["a"] is networks["a"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """Weak references to the bases, in the order in which they are built."""
    models: list[Callable[[], Any]] = []
    build_new = building.build_new

    def build_and_note(*arguments: Any) -> Any:
        base = build_new(*arguments)
        models.append(weakref.ref(base.model))
        return base

    monkeypatch.setattr(building, "build_new", build_and_note)
    return models


def test_a_grid_of_large_bases_holds_one_at_a_time(
    tmp_path: Path, built: list[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base and its network are collected before the next base is built."""
    monkeypatch.setattr(held, "MOST_BYTES", 0)  # tiny counts as large
    alive: list[int] = []
    build_and_note = building.build_new
    monkeypatch.setattr(
        building, "build_new", lambda *a: (alive.append(sum(m() is not None for m in built)), build_and_note(*a))[1]
    )
    data = write_photos(tmp_path / "photos", 2)
    recipes = [Recipe(model="tiny", weights="random", weights_seed=seed) for seed in range(3)]
    features = extract_features(data, recipes, tmp_path / "cache").features
    assert [found.computed for found in features] == [4, 4, 4]
    assert len(built) >= 3
    assert alive == [0] * len(built)


def test_predict_does_not_build_its_base_again(tmp_path: Path, built: list[Callable[[], Any]]) -> None:
    """Several calls in a process build it once."""
    data, cache = write_photos(tmp_path / "photos", 6), tmp_path / "cache"
    recipes = [Recipe(model="tiny"), Recipe(model="tiny", weights="random")]
    run = train(data, recipes, cache=cache, runs=tmp_path / "runs").run
    assert len(built) == 2
    for number in range(3):
        images = write_photos(tmp_path / f"new{number}", 1, first=100 + number)
        assert len(featstore.predict(run, [images], cache=cache).images) == 2
    assert len(built) == 2
