"""A command that drops nothing: an option that takes one value is given once, and an unknown one is answered."""

from __future__ import annotations

from typing import Any

from typer import Typer
from typer.core import TyperCommand
from typer.main import get_command

from featstore.errors import UsageError
from featstore.system.words import meant_by

_ALONE = {"--ray": "local"}  # options that may stand without a value, and what they mean then
_MEASURED_BY_COMPARE = ("train-head", "extract", "explain")  # they take the options of features and heads


class Command(TyperCommand):
    """A command of the application. All of them are made of this class, so its rules hold for every option."""

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser, which refuses a second value of an option that takes one: Click lets the last one win."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            values, rest, order = parse(args)
            seen: set[str] = set()
            for option in order:
                if option.name in seen and _takes_one_value(option):
                    raise UsageError(_given_twice(self.name or "", option.opts[0]))
                seen.add(str(option.name))
            return values, rest, order

        parser.parse_args = parse_once  # type: ignore[method-assign]
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, _with_values(args))
        except Exception as error:
            name = getattr(error, "option_name", None)
            if name is None or not hasattr(error, "possibilities"):  # not an unknown option
                raise
            raise UsageError(_unknown(ctx.command_path, str(name), _option_names(self))) from error


def _with_values(args: list[str]) -> list[str]:
    """Return the words with a value for each option that may stand alone, and does: Typer knows none of this kind."""
    end = args.index("--") if "--" in args else len(args)  # what follows are no options
    words: list[str] = []
    for word, after in zip(args[:end], [*args[1:end], "-"], strict=False):
        words += [word, _ALONE[word]] if word in _ALONE and after.startswith("-") else [word]
    return words + args[end:]


def _takes_one_value(option: Any) -> bool:
    """Return whether a second value of `option` would replace the first; a switch has none."""
    return option.param_type_name == "option" and not (option.multiple or option.is_flag or option.count)


def _given_twice(command: str, flag: str) -> str:
    compared = command in _MEASURED_BY_COMPARE and flag in _compared_options()
    remedy = f"; `featstore compare` takes {flag} several times and measures each" if compared else ""
    return f"{flag}: is given twice, but takes one value: leave one out{remedy}"


def _compared_options() -> set[str]:
    """Return the options that `compare` takes several times."""
    from featstore.cli import compare

    app = Typer(add_completion=False)
    app.command()(compare.command)
    parameters: Any = get_command(app).params
    return {flag for option in parameters if getattr(option, "multiple", False) for flag in option.opts}


def _option_names(command: TyperCommand) -> list[str]:
    return [flag.lstrip("-") for option in command.params for flag in option.opts if flag.startswith("--")]


def _unknown(command: str, flag: str, names: list[str]) -> str:
    near = [f"--{name}" for name in meant_by(flag.lstrip("-"), names)]
    remedy = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no such option: {flag}{remedy}{'' if near else ';'} see {command} --help"
