"""Options of a command from the fields of a dataclass, with their defaults, choices, ranges and help.

    @takes_fields
    def command(data: options.Data, recipe: Annotated[GridOptions, Fields(Recipe, repeatable=["preprocess"])]) -> None:

gives the command an option for each field of `Recipe` that has help, and hands it what the user chose as
`GridOptions(...)`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Protocol, get_args, get_type_hints, runtime_checkable

import typer

from featstore.cli.console import flag
from featstore.heads.parameters import aliases_of, nearest
from featstore.images.preprocessing import VARIANTS
from featstore.images.views import VIEWS
from featstore.system.fields import Between, choices, field_help, field_types, limits, settle_choice


def _models() -> list[str]:
    from featstore.bases.catalog import BASES, BUILT_IN

    return [*BUILT_IN, *BASES]


_REPEATED = defaultdict(
    lambda: "Repeatable.",
    weights="Repeatable: one for all bases (imagenet, random, default), or one for each in their order.",
    alpha="Repeatable: once for all of these, or for each in their order.",
)

_WIDEST_CHOICES = 60  # columns; a line of the help has 80

# What completion offers for fields that take other values as well.
_SUGGESTIONS: dict[str, Callable[[], Iterable[str]]] = {
    "model": _models,
    "preprocess": lambda: VARIANTS,
    "views": lambda: VIEWS,
}


@runtime_checkable
class OptionsMark(Protocol):
    """A mark for a parameter of a command that stands for several options."""

    def parameters(self) -> list[Parameter]:
        """Return the parameters of the command that take its place."""


@dataclass(frozen=True)
class Fields:
    """A mark for a parameter of a command that stands for the fields of the dataclass `of`, or for those in `only`.

    repeatable: fields that may be given more than once, whose values are lists. optional: repeatable fields without a
    default that may be left out. parsers: functions from the text of an option to the value of the field.
    """

    of: type
    repeatable: Collection[str] = ()
    optional: Collection[str] = ()
    only: Collection[str] = ()
    leave_out: Collection[str] = ()
    parsers: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)

    def parameters(self) -> list[Parameter]:
        """Return a parameter of the command for each field, as Typer takes it."""
        names = [item.name for item in fields(self.of) if item.name in (self.only or field_help(self.of))]
        return [self._parameter(name) for name in names if name not in self.leave_out]

    def _parameter(self, name: str) -> Parameter:
        kind, hint = field_types(self.of, annotated=False)[name], field_types(self.of)[name]
        known, range_, suggest = choices(hint), limits(hint), _SUGGESTIONS.get(name)
        default = next(item.default for item in fields(self.of) if item.name == name)
        text = re.sub(r"`(\w+)`", self._as_flag, field_help(self.of)[name])
        more: dict[str, Any] = {"parser": self.parsers.get(name)}
        if name in self.parsers:
            more["metavar"] = "SIZE"  # the only kind of field with a parser
        if str in get_args(kind):
            kind = str | None  # a size is text or a number; here it is text
        if known:  # Typer would take them in one spelling only
            suggest, more = lambda: known, {"parser": _one_of(hint), "metavar": _choices_in_help(known)}
        if name in self.repeatable:
            kind, text = list[float] if float in get_args(kind) else list[str], f"{text} {_REPEATED[name]}"
            default = [] if default is None or name in self.optional else default if default is MISSING else [default]
        off = [f"{flag(name, None)}/{flag(name, False)}"] if default is True else [flag(name, None)]
        option = typer.Option(
            *off,
            *(flag(word, None) for word in aliases_of(name)),
            help=text,
            min=range_.least if isinstance(range_, Between) else None,
            max=range_.most if isinstance(range_, Between) else None,
            show_default=default not in (None, [], MISSING),
            autocompletion=_starting(suggest) if suggest else None,
            **more,
        )
        return Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if default is MISSING else default,
            annotation=Annotated[kind, option],
        )

    def _as_flag(self, found: re.Match[str]) -> str:
        return flag(found[1], None) if found[1] in field_types(self.of) else found[0]


def takes_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with several options in place of every parameter with a mark such as `Fields`."""
    marked: dict[str, tuple[Callable[..., Any], list[Parameter]]] = {}
    parameters: list[Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in signature(command).parameters.items():
        kind, *marks = get_args(hints[name])
        if marks and isinstance(marks[0], OptionsMark):
            marked[name] = kind, marks[0].parameters()
            parameters += marked[name][1]
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[name]))

    @wraps(command)
    def wrapper(**values: Any) -> None:
        for name, (make, options) in marked.items():
            values[name] = make(**{option.name: values.pop(option.name) for option in options})
        command(**values)

    wrapper.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def chosen(of: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values of fields of the dataclass `of` that are not the default, nor left out."""
    defaults = {item.name: item.default for item in fields(of)}
    return {name: value for name, value in values.items() if value not in (defaults[name], [], None)}


def _starting(suggest: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in suggest() if word.startswith(incomplete)]


def _choices_in_help(known: Sequence[str]) -> str:
    """Return the choices as the help has them, or a word for as many as would not fit into a line."""
    listed = f"<{'|'.join(known)}>"
    return listed if len(listed) <= _WIDEST_CHOICES else "NAME"


def _one_of(hint: Any) -> Callable[[str], str]:
    """Return a function from a choice in any spelling to the choice."""

    def parse(text: str) -> str:
        choice = settle_choice(hint, text)
        if choice is None:
            known = ", ".join(map(repr, choices(hint)))
            raise typer.BadParameter("; ".join(filter(None, [f"{text!r} is not one of {known}", nearest(hint, text)])))
        return choice

    return parse
