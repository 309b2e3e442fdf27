"""Options for the parameters of the heads: one for each, and `--set` for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from inspect import Parameter
from typing import Annotated

import typer

from featstore.cli.console import flag
from featstore.errors import UsageError
from featstore.heads.parameters import aliases_of, parameter_help, parameter_named, shown
from featstore.heads.registry import HEADS, all_parameters


@dataclass(frozen=True)
class HeadParameterOptions:
    """A mark for a parameter of a command that stands for an option for each parameter of the heads.

    leave_out: parameters whose name is that of another option of the command.
    """

    leave_out: Collection[str] = ()

    def parameters(self) -> list[Parameter]:
        """Return a parameter of the command for each parameter of the heads, as Typer takes it."""
        return [_parameter(name) for name in all_parameters() if name not in self.leave_out]


def chosen_parameters(settings: Sequence[tuple[str, str]], options: dict[str, str | None]) -> dict[str, str]:
    """Return what `--set` and the options of the parameters say; raise UsageError for one that is said twice.

    Words stay as they are: an estimator outside of the table may call something else by them.
    """
    known = all_parameters()
    chosen: dict[str, tuple[str, str]] = {}
    for word, value in [*settings, *((name, value) for name, value in options.items() if value is not None)]:
        name = parameter_named(word, known) or word
        if name in chosen:
            raise UsageError(f"{name} of the head is given twice: {chosen[name][1]} and {value}; leave one out")
        chosen[name] = word, value
    return dict(chosen.values())


def _parameter(name: str) -> Parameter:
    words = (flag(word, None) for word in aliases_of(name))
    option = typer.Option(flag(name, None), *words, metavar="VALUE", help=_help(name), show_default=False)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])


def _help(name: str) -> str:
    """Return the help of a parameter: each of its meanings, with the defaults of the heads that have it."""
    defaults: dict[str, dict[str, str]] = {}
    for head, entry in HEADS.items():
        for field in fields(entry.parameters):
            if field.name == name:
                text = parameter_help(entry.parameters)[name]
                defaults.setdefault(text, {})[head] = shown(field.default)
    return " ".join(f"{text.removesuffix('.')} (default: {_listed(by_head)})." for text, by_head in defaults.items())


def _listed(defaults: dict[str, str]) -> str:
    """Return `defaults` by head as text: one that more than three heads share comes first, without their names."""
    [(shared, heads)] = Counter(defaults.values()).most_common(1)
    if heads <= 3:
        return ", ".join(f"{head} {value}" for head, value in defaults.items())
    return ", ".join([shared, *(f"{head} {value}" for head, value in defaults.items() if value != shared)])
