"""What the command line prints: safe text, tables and notes."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from featstore.cli.streams import OutputLost
from featstore.errors import StoreError, UsageError
from featstore.objects.urls import Location
from featstore.system.fields import flag_of
from featstore.system.progress import Display, Progress
from featstore.system.text import Table, safe
from featstore.system.text import spreadsheet_text as spreadsheet_text

T = TypeVar("T")
STANDARD_OUTPUT = Path("-")  # as the value of an option that names a file to write


def flag(name: str, value: object) -> str:
    """Spell a parameter as on the command line: `--views ten`, or `--views` without a value or where it is a switch.

    A switch that is turned off is spelled as in `--no-calibrate`. A value that a shell would change is quoted, so that
    the text can be typed as it stands.
    """
    if value is False:
        return flag_of(f"no_{name}")
    option = flag_of(name)
    return option if value is None or value is True else f"{option} {shlex.quote(str(value))}"


def command_line() -> str:
    """Return the command line as it was typed, as a run records it: with `~` for the home folder."""
    from featstore.runs.hints import without_home

    words = ["featstore", *(without_home(word) for word in sys.argv[1:])]
    return " ".join(f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word) for word in words)


def say(text: str) -> None:
    """Print one line on standard output."""
    print(safe(text))


def note(text: str) -> None:
    """Print one line on standard error."""
    print(safe(text), file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """Print `value` as the only object on standard output. It is ASCII, so that any name can be printed."""
    print(json.dumps(value, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns."""
    print(Table(header, rows))


def warn(notes: Sequence[str], progress: Progress) -> None:
    """Print those notes on standard error that the job has not told while it ran."""
    told = progress.told if isinstance(progress, Display) else ()
    for text in notes:
        if (line := f"warning: {text}") not in told:
            note(line)


def check_output(path: Path | None, option: str, *, json: bool = False) -> None:
    """Raise an error now, before the work, if the file that `option` names cannot be written at its end.

    json: whether standard output is taken by `--json`, so that it cannot be the file.
    """
    if path is None:
        return
    if path == STANDARD_OUTPUT:
        if json:
            raise UsageError(f"{option} -: standard output is taken by --json; name a file, or leave --json out")
        return
    folder, problem = path.resolve().parent, None  # a link may lead to a file that is still to be made
    if path.is_dir():
        problem = "it is a folder"
    elif path.exists():
        problem = None if os.access(path, os.W_OK) else "you may not write to it"
    elif not folder.is_dir():
        problem = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK | os.X_OK):
        problem = f"you may not write in {folder}"
    if problem:
        raise StoreError(f"{path}: cannot be written: {problem}; choose another file for {option}")


def write_file(path: Path, data: bytes, option: str) -> None:
    """Write the file that `option` names; `-` is standard output.

    It is written in place, so that links and /dev/stdout are followed.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.write_bytes(data)  # type: ignore[union-attr]  # of streams.py
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; choose another file for {option}") from error


def write_files(*files: tuple[Path | None, str, Callable[[], bytes]]) -> list[str]:
    """Write the files that were asked for, and return what could not be written: the table is still to be printed.

    This comes before printing, since a broken pipe must not lose the files.
    """
    lost = []
    for path, option, make in files:
        try:
            if path is not None:
                write_file(path, make(), option)
        except OutputLost:  # there is nowhere to print either
            raise
        except StoreError as error:
            lost.append(str(error))
    return lost


def refuse_lost(lost: Sequence[str]) -> None:
    """End the command with 1 if a file is lost, once all else has been printed."""
    for text in lost:
        note(f"featstore: {text}")
    if lost:
        raise typer.Exit(1)


def list_skipped(skipped: Sequence[tuple[str, str]], most: int = 20) -> None:
    """Print the skipped files with their reasons on standard error."""
    if not skipped:
        return
    note(f"{len(skipped)} skipped:")
    for path, reason in skipped[:most]:
        note(f"  {path}: {reason}")
    if len(skipped) > most:
        note(f"  ... and {len(skipped) - most} more (all of them with --json)")


def one_by_one(folders: Sequence[Location], work: Callable[[Location], T]) -> tuple[list[T], list[str]]:
    """Call `work` on each folder. Return the results, and a line for each folder that failed."""
    done: list[T] = []
    failed: list[str] = []
    for folder in folders:
        try:
            done.append(work(folder))
        except StoreError as error:
            failed.append(str(error))
    return done, failed
