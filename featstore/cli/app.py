"""The application: its commands, and the one handler of errors.

Exit codes: 0 done, 1 an expected failure (one line, no traceback), 2 usage, 130 or 143 interrupted.
"""

from __future__ import annotations

import signal
import sys
import warnings
from types import FrameType
from typing import Any

import typer

from featstore.cli import (
    cache,
    check_base,
    compare,
    evaluate,
    extract,
    fine_tune,
    models,
    predict,
    quickstart,
    train_head,
)
from featstore.cli.console import flag, note
from featstore.errors import FeatstoreError, UsageError, parameters_spelled
from featstore.system.tensorflow_loader import mute_tensorflow

app = typer.Typer(
    name="featstore",
    help="Extract image features once, cache them safely, train heads in seconds.",
    no_args_is_help=True,
    rich_markup_mode=None,  # Rich would cost a third of the start-up time
    pretty_exceptions_enable=False,
    epilog="First steps: featstore quickstart. Then: featstore train-head photos --model MobileNetV2",
)
app.command("quickstart")(quickstart.command)
app.command("extract")(extract.command)
app.command("train-head")(train_head.command)
app.command("compare")(compare.command)
app.command("check-base")(check_base.command)
app.command("fine-tune")(fine_tune.command)
app.command("evaluate")(evaluate.command)
app.command("predict")(predict.command)
app.command("models")(models.command)
app.add_typer(cache.app, name="cache")


class Interrupted(BaseException):
    """Raised in the main thread by Ctrl-C and by a polite kill."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from featstore import __version__

        print(f"featstore {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every expected failure becomes one line on standard error."""
    mute_tensorflow()
    warnings.filterwarnings("ignore", "Image size .* decompression bomb")  # Pillow's; such files are listed as skipped
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with parameters_spelled(flag):
        try:
            app()
        except FeatstoreError as error:
            _note_all(error)
            note(f"featstore: {error}")
            sys.exit(2 if isinstance(error, UsageError) else 1)
        except Interrupted as interruption:
            _note_all(interruption)
            note("featstore: interrupted; stored rows are kept: run the same command to resume")
            sys.exit(interruption.exit_code)


def _note_all(error: BaseException) -> None:
    for text in getattr(error, "__notes__", ()):
        note(text)


def _interrupt(number: int, frame: FrameType | None) -> Any:
    raise Interrupted(number)
