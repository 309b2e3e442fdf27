"""`featstore runs compare`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import note, print_json
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.system.progress import displayed


@takes_fields
def command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of two or more runs.", show_default=False)
    ],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Where the labelled images are now. Default: where they were.", show_default=False),
    ] = None,
    cache: options.RunCache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure runs on the images that all of them held out, with paired differences, and list what differs in them.

    Example: featstore runs compare runs/photos-tiny-tf-32-logistic runs/photos-tiny-raw-32-logistic
    """
    from featstore.runs.files import load_run
    from featstore.runs.side_by_side import measure_side_by_side

    loaded = [load_run(run) for run in runs]
    with displayed(not quiet) as progress:
        found = measure_side_by_side(
            loaded, data, data_options, cache=options.chosen_cache(cache, rehash), progress=progress
        )
    if json:
        print_json(found.describe())
    elif quiet:
        for text in found.notes:
            note(text)
    else:
        print(found)
