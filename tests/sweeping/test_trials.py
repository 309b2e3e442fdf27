"""The trials of a sweep: three rounds, which depend on the seed and on the results of finished rounds alone."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from typing import Any

import numpy as np
import pytest

from featstore.extraction.recipe import Recipe
from featstore.heads.ensemble_parameters import named_members
from featstore.heads.registry import HEADS, HeadName, make_head
from featstore.sweeping.searching import Scope
from featstore.sweeping.space import SPACES, OneOf, Range
from featstore.sweeping.trials import Trial, free_ranges, from_everywhere, near_the_best, paths_and_defaults

PLACES = [(recipe, head) for recipe in (0, 1) for head in ("logistic", "bn-dropout")]


def everywhere(count: int, seed: int, fixed: dict[str, dict[str, object]] | None = None) -> list[Trial]:
    return from_everywhere(count, PLACES, fixed or {}, (), np.random.default_rng(seed))


def test_the_first_round_has_each_head_in_turn() -> None:
    first = paths_and_defaults(PLACES, {})
    assert [(trial.recipe, trial.head) for trial in first[:4]] == [
        (0, "logistic"),
        (0, "bn-dropout"),
        (1, "logistic"),
        (1, "bn-dropout"),
    ]
    assert first[1].parameters == ()
    assert {trial.settings["C"] for trial in first if trial.head == "logistic"} == set(SPACES["logistic"].path["C"])


def test_a_parameter_that_is_set_is_not_searched() -> None:
    first = paths_and_defaults(PLACES, {"logistic": {"C": 0.2}, "bn-dropout": {"p": 0.3}})
    assert [trial.parameters for trial in first] == [()] * 4
    drawn = everywhere(20, 0, {"bn-dropout": {"p": 0.3}})
    assert {*drawn[0].settings} == {"batch", "rate", "units"}
    near = near_the_best(20, drawn[:2], {"bn-dropout": {"p": 0.3}}, drawn, np.random.default_rng(0))
    assert {*near[0].settings} == {"batch", "rate", "units"}


def test_the_same_seed_draws_the_same_trials_and_none_twice() -> None:
    assert everywhere(30, 1) == everywhere(30, 1) != everywhere(30, 2)
    drawn = everywhere(30, 1)
    assert len({*drawn}) == 30
    assert {trial.recipe for trial in drawn} == {0, 1}


def test_the_third_round_stays_near_the_best_and_in_the_range() -> None:
    best = [Trial(1, "bn-dropout", (("batch", 64), ("p", 0.8), ("rate", 1e-2), ("units", 128)))]
    near = near_the_best(40, best, {}, best, np.random.default_rng(0))
    assert len(near) == 40
    assert best[0] not in near
    assert {trial.recipe for trial in near} == {1}
    rates = np.array([trial.settings["rate"] for trial in near])
    assert rates.max() <= 1e-2
    assert np.median(rates) > 3e-3  # the range begins at 1e-4


def test_a_space_that_is_used_up_ends_the_round() -> None:
    assert from_everywhere(10, PLACES[:1], {}, (), np.random.default_rng(0)) == []
    fixed = {"bn-dropout": {"p": 0.5, "rate": 1e-3, "units": 64}}  # four batches are left
    assert len(from_everywhere(10, PLACES[1:2], fixed, (), np.random.default_rng(0))) == 4


@pytest.mark.parametrize("name", [name for name in SPACES if name in HEADS])
def test_each_space_is_one_that_its_head_takes(name: HeadName) -> None:
    """The ends of each range, and all values of a path."""
    space = SPACES[name]
    known = {field.name for field in fields(HEADS[name].parameters)}
    assert known >= {*space.ranges, *space.path}
    for parameter, some in space.ranges.items():
        for place in (0.0, 0.5, 1.0):
            make_head(name, {parameter: some.at(place)})
    for parameter, values in space.path.items():
        assert len({*values}) == len(values)
        for value in values:
            make_head(name, {parameter: value})


@pytest.mark.parametrize("some", [Range(1e-4, 1.0), Range(0.1, 0.9, log=False), OneOf((16, 32, 64))])
def test_the_place_of_a_value_is_where_it_was_drawn(some: Range | OneOf) -> None:
    for place in (0.0, 0.3, 0.99):
        value = some.at(place)
        assert some.at(some.place(value)) == value


def test_a_path_of_two_parameters_has_all_combinations_of_what_is_not_set() -> None:
    path = SPACES["linear"].path
    first = paths_and_defaults([(0, "linear")], {})
    assert {(trial.settings["rate"], trial.settings["weight_decay"]) for trial in first} == {
        *product(path["rate"], path["weight_decay"])
    }
    of_decay = paths_and_defaults([(0, "linear")], {"linear": {"rate": 0.01}})
    assert [trial.settings for trial in of_decay] == [{"weight_decay": value} for value in path["weight_decay"]]
    assert free_ranges("linear", {}) == {}


def test_heads_that_the_path_cannot_have_are_drawn() -> None:
    fixed = {"linear": {"optimizer": "sgd"}}
    assert [trial.parameters for trial in paths_and_defaults([(0, "linear")], fixed)] == [()]
    drawn = from_everywhere(3, [(0, "linear")], fixed, (), np.random.default_rng(0))
    assert {name for trial in drawn for name in trial.settings} == {"rate", "weight_decay"}


@pytest.mark.parametrize(
    ("head", "fixed"),
    [
        ("logistic", {"C": 0.123456789, "max_iter": 2000}),
        ("logistic", {"C": None}),
        ("mlp", {"widths": (256, 128), "class_weights": {"cat": 2.0, "dog": 0.1}}),
        ("cosine", {"learn_scale": "no", "class_weights": "balanced"}),
    ],
)
def test_an_ensemble_has_its_members_to_the_last_digit(head: HeadName, fixed: dict[str, Any]) -> None:
    """A run keeps them as a text, which has to make the very heads that were scored."""
    text = Scope.of([Recipe(model="tiny")], [head], {head: fixed}).text(Trial(0, head))
    [(name, parameters)] = named_members({"members": text})
    assert make_head(name, parameters).settings() == make_head(head, fixed).settings()
