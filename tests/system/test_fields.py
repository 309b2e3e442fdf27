"""The fields of dataclasses of options: choices, ranges and help, and what uses them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from featstore import Bottleneck
from featstore.comparison.grid import Measurement
from featstore.datasets.options import DataKeywords, DataOptions
from featstore.errors import UsageError
from featstore.extraction.recipe import AXES, GridOptions, OneOrMore, Recipe
from featstore.finetuning.settings import FineTuneOptions, FineTuneSettings
from featstore.heads.registry import HEADS, HeadName
from featstore.images.reading import VERSIONS, ReadingName
from featstore.system.fields import Between, choices, field_help, field_types, limits, settle_fields
from featstore.training.head_recipe import HeadRecipe

REPEATABLE = {"model", "weights", "alpha", *AXES}


@dataclass
class Drawing:
    """A drawing.

    Attributes:
        colour: The colour. Default:
            that of the paper.
        lines: How many.
    """

    colour: Literal["red", "blue"] | None = None
    lines: Annotated[int, Between(1, 9)] | None = 3
    title: str = ""


def test_a_field_has_choices_or_a_range_and_help() -> None:
    """The type may allow None; help is joined to one line."""
    types = field_types(Drawing)
    assert [choices(types[name]) for name in types] == [("red", "blue"), (), ()]
    assert [limits(types[name]) for name in types] == [None, Between(1, 9), None]
    assert field_help(Drawing) == {"colour": "The colour. Default: that of the paper.", "lines": "How many."}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "green"}, "colour='green': is not known: use one of red, blue"),
        ({"colour": "bleu"}, "use one of red, blue; did you mean blue?"),
        ({"colour": ["red"]}, "is not known: use one of red, blue"),
        ({"lines": 0}, "lines=0: expected a whole number of at least 1 and at most 9"),
        ({"lines": 10}, "lines=10: expected a whole number"),
        ({"lines": 2.5}, "lines=2.5: expected a whole number"),
        ({"lines": "2"}, "lines='2': expected a whole number"),
        ({"lines": Between(1)}, "expected a whole number"),
    ],
)
def test_values_are_checked(options: dict[str, Any], message: str) -> None:
    """The error names the field and what it takes, whatever the value is."""
    with pytest.raises(UsageError, match=message):
        settle_fields(Drawing(**options))


def test_values_that_are_allowed() -> None:
    """The limits are among them, and None where the type says so."""
    for options in ({}, {"colour": "red"}, {"lines": 1}, {"lines": 9}, {"lines": None}):
        settle_fields(Drawing(**options))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Recipe, {"model": "tiny", "fit": "squeeze"}),
        (Recipe, {"model": "tiny", "weights_seed": -1}),
        (HeadRecipe, {"head": "svm"}),
        (HeadRecipe, {"train_on": "some"}),
        (Measurement, {"folds": 1}),
        (FineTuneSettings, {"precision": "mixed_float16"}),
    ],
)
def test_options_are_checked_when_they_are_made(kind: type, options: dict[str, Any]) -> None:
    """The error comes before any work is done with them."""
    name = list(options)[-1]
    with pytest.raises(UsageError, match=f"{name}="):
        kind(**options)


@pytest.mark.parametrize(
    ("kind", "without"),
    [(Recipe, {"top"}), (HeadRecipe, set()), (Measurement, set()), (FineTuneSettings, set()), (DataOptions, set())],
)
def test_each_field_has_help(kind: type, without: set[str]) -> None:
    """No help is left of a field that was removed."""
    assert list(field_help(kind)) == [field.name for field in fields(kind) if field.name not in without]


def test_typed_dictionaries_have_the_fields_of_their_dataclasses() -> None:
    """The types are the same; a grid takes several values of most of them."""
    recipe = get_type_hints(Recipe)
    assert get_type_hints(FineTuneOptions) == get_type_hints(FineTuneSettings)
    assert get_type_hints(DataKeywords) == get_type_hints(DataOptions)
    expected = {name: OneOrMore[hint] if name in REPEATABLE else hint for name, hint in recipe.items()}
    assert get_type_hints(GridOptions) == expected


def test_a_transformer_has_the_fields_of_a_recipe() -> None:
    """The types are the same; the defaults are tested with the transformer."""
    types = get_type_hints(Bottleneck)
    del types["cache"], types["progress"]
    types["fit"] = types.pop("fit_mode")
    assert types == {name: hint for name, hint in get_type_hints(Recipe).items() if name not in ("augment", "top")}


def test_choices_are_those_of_the_tables() -> None:
    """Every head and every reading that there is, in order."""
    assert get_args(HeadName) == tuple(HEADS)
    assert get_args(ReadingName) == tuple(VERSIONS)
    assert get_origin(HeadName) is Literal
