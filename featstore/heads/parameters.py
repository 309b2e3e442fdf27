"""The parameters of the heads, with their defaults, ranges and help; known without loading a head.

Each head is a dataclass made of one of these. The command line makes its options of their fields, and `featstore heads`
lists them.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args

from featstore.errors import UsageError, param
from featstore.system.fields import (
    Between,
    Within,
    choices,
    field_help,
    field_types,
    limits,
    settle_choice,
    settle_fields,
)
from featstore.system.words import did_you_mean, spelled_as

Count = Annotated[int, Between(1)]
Rate = Annotated[float, Within(0, includes_low=False)]
Share = Annotated[float, Within(0, 1)]
Activation = Literal["relu", "elu", "selu", "gelu", "tanh", "sigmoid"]

ALIASES = {"lr": "rate", "learning-rate": "rate", "dropout": "p", "batch-size": "batch"}  # words of other tools


@dataclass
class HeadParameters:
    """Values that a user can set; each is checked when it is made."""

    def __post_init__(self) -> None:
        settle_fields(self)

    def settings(self) -> dict[str, Any]:
        """Return the parameters by name, as a run records them."""
        return {item.name: getattr(self, item.name) for item in fields(self) if not item.name.startswith("_")}

    def check(self) -> None:
        """Raise UsageError for a value that has no effect with the others."""


def parameter_help(kind: Any) -> dict[str, str]:
    """Return the help of each parameter, with that of the classes that `kind` inherits from."""
    return {name: text for part in reversed(kind.__mro__) for name, text in field_help(part).items()}


def range_of(kind: Any, name: str) -> str:
    """Return in words what a parameter may be."""
    hint = field_types(kind)[name]
    known = choices(hint)
    text = f"one of {', '.join(known)}" if known else str(limits(hint))
    return f"{text}, or none" if _may_be_none(hint) else text


def parse_parameters(kind: Any, head: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` by the names that the head has for them; text becomes numbers.

    Raises UsageError for a parameter that the head does not have, that is given twice, or whose value it does not take.
    """
    hints = field_types(kind)
    known = [field.name for field in fields(kind)]
    parsed: dict[str, Any] = {}
    for word, value in given.items():
        name = parameter_named(word, known)
        if name is None:
            near = did_you_mean(word, known)
            told = f"{near} It takes" if near else "it takes"
            raise UsageError(
                f"head {head} has no parameter {word!r}: {told} {', '.join(known)}; `featstore heads` has all"
            )
        if name in parsed:
            raise UsageError(f"{param('parameters', word)}: {name} is given twice")
        parsed[name] = _parse(value, hints[name])
        try:
            kind(**{name: parsed[name]})
        except (UsageError, TypeError):  # which would name an option, and `--folds` of compare is another one
            told = f"head {head}: {name}={value}: expected {range_of(kind, name)}"
            raise UsageError("; ".join(filter(None, [told, nearest(hints[name], value)]))) from None
    try:
        kind(**parsed).check()
    except UsageError as error:
        raise UsageError(f"head {head}: {error}") from None
    return parsed


def shown(value: Any) -> str:
    """Return a value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def nearest(hint: Any, value: Any) -> str:
    """Return a question for the choice that a mistyped one is nearest to; empty if there is none."""
    return did_you_mean(value, choices(hint)) if isinstance(value, str) else ""


def aliases_of(name: str) -> list[str]:
    """Return the words of other tools for a parameter."""
    return [word for word, meant in ALIASES.items() if meant == name]


def parameter_named(word: str, known: list[str]) -> str | None:
    """Return the one of the parameters `known` that `word` stands for, in any spelling; None if there is none."""
    name = spelled_as(word, known)
    alias = spelled_as(word, ALIASES)
    return name or (spelled_as(ALIASES[alias], known) if alias else None)


def _parse(value: Any, hint: Any) -> Any:
    """Return a value that was given as text as its type; text that is no such value stays as it is."""
    if not isinstance(value, str):
        return value
    if _may_be_none(hint) and value.strip().lower() == "none":
        return None
    if hint is Any:
        return _as_python(value)
    if choices(hint):
        return settle_choice(hint, value) or value
    range_ = limits(hint)
    if range_ is None:  # any text
        return value
    try:
        return range_.parse(value)
    except ValueError:
        return value


def _as_python(text: str) -> Any:
    """Return a number, a tuple, a truth value or None that is written in `text`; any other text as it is."""
    words = {"true": True, "false": False, "none": None}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        return literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text


def _may_be_none(hint: Any) -> bool:
    return type(None) in get_args(hint)
