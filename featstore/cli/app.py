"""The application: its commands, and the only handler of errors.

Exit codes: 0 done, 1 an expected failure (one line, no traceback), 2 usage, 3 found what `audit --fail-on` asks for,
128 and the number of the signal where one interrupts, 141 a pipe whose reader has gone (no line).
"""

from __future__ import annotations

import signal
import sys
import warnings
from importlib import import_module
from types import FrameType
from typing import Any

import typer
from typer.main import get_command

from featstore.bases.hdf5 import read_without_locks
from featstore.cli.command import Command
from featstore.cli.console import note
from featstore.cli.spelling import speller
from featstore.cli.streams import OutputLost, guarded_streams
from featstore.errors import FeatstoreError, UsageError, parameters_spelled
from featstore.system.tensorflow_loader import mute_tensorflow

_COMMANDS = {  # and the modules that they are in
    "quickstart": "quickstart",
    "scan": "scan",
    "extract": "extract",
    "features": "features",
    "train-head": "train_head",
    "find-lr": "find_lr",
    "compare": "compare",
    "learning-curve": "learning_curve",
    "audit": "audit",
    "sweep": "sweep",
    "check-base": "check_base",
    "fine-tune": "fine_tune",
    "evaluate": "evaluate",
    "predict": "predict",
    "explain": "explain",
    "draw": "draw",
    "report": "report",
    "runs": "runs",
    "models": "models",
    "heads": "heads",
    "doctor": "doctor",
    "cache": "cache",
}


INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a scheduler, a terminal that is closed
_TyperError: Any = typer.BadParameter.__mro__[2]  # ClickException, of which Typer has a copy that it does not export


def make_app(only: str = "") -> typer.Typer:
    """Return the application with the command `only`, or with all commands if there is none of this name.

    All options of all commands would cost half of the start-up time of a command.
    """
    app = typer.Typer(
        name="featstore",
        help="Extract image features once, cache them safely, train heads in seconds.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["--help", "-h"]},
        rich_markup_mode=None,  # Rich would cost a third of the start-up time
        pretty_exceptions_enable=False,
        epilog="First steps: featstore quickstart. Then: featstore train-head photos --model MobileNetV2",
    )
    app.callback(invoke_without_command=True)(_options)
    for name in [only] if only in _COMMANDS else _COMMANDS:
        module = import_module(f"featstore.cli.{_COMMANDS[name]}")
        if hasattr(module, "app"):  # a command with verbs of its own
            app.add_typer(module.app, name=name)
        else:
            app.command(name, cls=Command)(module.command)
    return app


def _all_options() -> dict[str, frozenset[str]]:
    """Return the options of each command, and of each that stands below another, such as `cache ls`."""
    found: dict[str, frozenset[str]] = {}
    waiting: list[tuple[str, Any]] = [("", get_command(make_app()))]
    while waiting:
        name, command = waiting.pop(0)
        below = getattr(command, "commands", {})
        waiting += [(f"{name} {word}".strip(), item) for word, item in below.items()]
        if not below:
            found[name] = frozenset(option for parameter in command.params for option in parameter.opts)
    return found


class Interrupted(BaseException):
    """One of the signals in INTERRUPTIONS; raised in the main thread."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


def _options(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from featstore import __version__

        print(f"featstore {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Print every expected failure as one line on standard error."""
    mute_tensorflow()
    warnings.showwarning = _note_warning
    read_without_locks()
    warnings.filterwarnings("ignore", "Image size .* decompression bomb")  # Pillow's; such files are listed as skipped
    for number in INTERRUPTIONS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, _interrupt)
    with parameters_spelled(speller(sys.argv[1:], _all_options)), guarded_streams():
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            code = make_app(*sys.argv[1:2])(standalone_mode=False) or 0
            sys.stdout.flush()  # a full disk shows here at the latest
            sys.exit(code)
        except _TyperError as error:
            _note_usage(error)
            sys.exit(error.exit_code)
        except OutputLost as error:
            if not error.is_silent:
                note(f"featstore: {error}")
            sys.exit(error.exit_code)
        except FeatstoreError as error:
            _note_all(error)
            note(f"featstore: {error}")
            sys.exit(2 if isinstance(error, UsageError) else 1)
        except Interrupted as interruption:
            _note_all(interruption)
            note("featstore: interrupted; rows in the cache are kept, and the same command does not compute them again")
            sys.exit(interruption.exit_code)


def _note_usage(error: Any) -> None:
    """Print what is wrong with an option or argument as one line; a longer message is the help that it stands for."""
    message = error.format_message()
    if "\n" in message:
        error.show()
    else:
        command = error.ctx.command_path if error.ctx else "featstore"
        note(f"featstore: {message[:1].lower()}{message[1:].rstrip('.')}; see {command} --help")


def _note_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning of Python's as one line, without the place in the code, which says nothing to a user."""
    note(f"warning: {' '.join(str(message).split())}")


def _note_all(error: BaseException) -> None:
    for text in getattr(error, "__notes__", ()):
        note(text)


def _interrupt(number: int, frame: FrameType | None) -> Any:
    raise Interrupted(number)
