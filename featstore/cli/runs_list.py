"""`featstore runs ls`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import note, print_json, say
from featstore.cli.show import describe
from featstore.runs.order import Order


def command(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder that holds those of the runs.")] = Path(
        "runs"
    ),
    sort: Annotated[
        Order, typer.Option("--sort", help="date (the latest last), name, or accuracy (the best last).")
    ] = "date",
    json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Folders only, one a line.")] = False,
) -> None:
    """List the runs in a folder, the latest last: settings, date, and accuracy on held-out images.

    Example: featstore runs ls --sort accuracy
    """
    from featstore.runs.listing import list_runs

    found = list_runs(folder, sort=sort)
    if json:
        broken = [{"path": str(item.folder), "reason": item.reason} for item in found.broken]
        print_json({"runs": [describe(run) for run in found.runs], "broken": broken})
        return
    for item in found.broken:
        note(f"not listed: {item.reason}")
    if quiet:
        for run in found.runs:
            say(str(run.folder))
        return
    print(found)
