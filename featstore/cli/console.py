"""What the command line prints: safe text, tables and notes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from featstore.errors import StoreError
from featstore.system.text import Table, safe

T = TypeVar("T")
_FLAGS = {"parameters": "--set", "rates": "--rate-of", "weights_seed": "--seed"}  # whose names differ from Python's


def flag(name: str, value: object) -> str:
    """Spell a parameter as on the command line: `--views ten`, or `--views` without a value or where it is a switch."""
    option = _FLAGS.get(name) or f"--{name.replace('_', '-')}"
    return option if value is None or value is True else f"{option} {value}"


def say(text: str) -> None:
    """One line on standard output."""
    print(safe(text))


def note(text: str) -> None:
    """One line on standard error."""
    print(safe(text), file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """`value` as the one object on standard output; ASCII, so that any name can be printed."""
    print(json.dumps(value, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns."""
    print(Table(header, rows))


def spreadsheet_text(text: str) -> str:
    """`text` as a cell of a CSV; what a spreadsheet would take for a formula (OWASP's list) gets a leading quote."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def write_file(path: Path, data: bytes, option: str) -> None:
    """Write what the user asked for with `option`; in place, so that links and /dev/stdout are followed."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; choose another file for {option}") from error


def list_skipped(skipped: Sequence[tuple[str, str]], most: int = 20) -> None:
    """The skipped files with their reasons on standard error, and how many there are."""
    if not skipped:
        return
    note(f"{len(skipped)} skipped:")
    for path, reason in skipped[:most]:
        note(f"  {path}: {reason}")
    if len(skipped) > most:
        note(f"  ... and {len(skipped) - most} more (all of them with --json)")


def one_by_one(folders: Sequence[Path], work: Callable[[Path], T]) -> tuple[list[T], list[str]]:
    """What `work` made of each folder, and a line for each that could not be worked on: the others go on."""
    done: list[T] = []
    failed: list[str] = []
    for folder in folders:
        try:
            done.append(work(folder))
        except StoreError as error:
            failed.append(str(error))
    return done, failed
