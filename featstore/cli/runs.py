"""`featstore runs`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import note, print_json
from featstore.cli.show import describe


def command(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder that holds those of the runs.")] = Path(
        "runs"
    ),
    json: options.Json = False,
) -> None:
    """List the runs in a folder, the latest last: settings, date, and accuracy on held-out images.

    Example: featstore runs
    """
    from featstore.runs.listing import list_runs

    found = list_runs(folder)
    if json:
        broken = [{"path": str(item.folder), "reason": item.reason} for item in found.broken]
        print_json({"runs": [describe(run) for run in found.runs], "broken": broken})
        return
    for item in found.broken:
        note(f"not listed: {item.reason}")
    print(found)
