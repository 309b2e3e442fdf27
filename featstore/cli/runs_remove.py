"""`featstore runs rm`"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import note, print_json, print_table
from featstore.system.figures import megabytes
from featstore.system.text import count, listed, safe

if TYPE_CHECKING:
    from featstore.runs.removal import Removal


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Remove them without asking.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Remove runs: the files that a run has, and its folder if nothing else is in there. Asks, unless --yes is given.

    Features stay in the cache. A folder that is not a run is refused, and then none is removed.

    Example: featstore runs rm runs/photos-tiny-tf-32-logistic --yes
    """
    from featstore.runs.removal import plan_removal, remove

    planned = [plan_removal(folder) for folder in dict.fromkeys(runs)]
    if not (json or quiet or yes):
        _print(planned)
    removed = yes or (not (json or quiet) and _is_agreed(planned))
    if removed:
        for item in planned:
            remove(item)
    for item in planned:
        if item.strange:
            stays = "stays" if len(item.strange) == 1 else "stay"
            note(f"{item.folder}: {listed(item.strange)} {stays}: no run has such a file")
    if json:
        print_json({"runs": [_describe(item) for item in planned], "removed": removed})
    elif not quiet:
        what = f"{count(len(planned), 'run')}, {megabytes(sum(item.bytes for item in planned))} MB"
        print(f"removed {what}" if removed else f"would remove {what}; --yes does it")


def _is_agreed(planned: Sequence[Removal]) -> bool:
    """Ask the user at a terminal; elsewhere nobody could answer."""
    if not sys.stdin.isatty():
        return False
    try:
        return typer.confirm(f"Remove {'this run' if len(planned) == 1 else 'these runs'}?")
    except typer.Abort:  # the end of the input is no
        return False


def _print(planned: Sequence[Removal]) -> None:
    print_table(("run", "files", "MB"), [(safe(str(p.folder)), str(len(p.files)), megabytes(p.bytes)) for p in planned])


def _describe(item: Removal) -> dict[str, Any]:
    return {
        "run": str(item.folder),
        "files": list(item.files),
        "bytes": item.bytes,
        "left": list(item.strange),
    }
