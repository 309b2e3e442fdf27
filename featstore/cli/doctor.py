"""`featstore doctor`"""

from __future__ import annotations

from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import flag, note, print_json
from featstore.cli.fields import Fields, chosen, takes_fields
from featstore.datasets.options import DataOptions
from featstore.errors import UsageError
from featstore.extraction.recipe import GridOptions, Recipe


@takes_fields
def command(
    recipe: Annotated[
        GridOptions,
        Fields(Recipe, repeatable=["model", "weights", "alpha"], optional=["model"], leave_out=["weights_seed"]),
    ],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]", help="Images, as for `extract`, to forecast an extraction of.", show_default=False
        ),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Try whether the host of Keras' ImageNet weights can be reached (3 s).")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Load every engine, and compute an image with the built-in base.")
    ] = False,
    cache: options.Cache = None,
    engine: options.Engine = None,
    json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is wrong, on standard error.")] = False,
) -> None:
    """Say what is installed and found on this machine, what is wrong, and what an extraction of DATA would take.

    Each --model is tried on 20 images, and time, disk and memory are forecast for those that are not in the cache.
    Without --model some usual bases are tried, with random weights, which are as fast. Without DATA nothing is stored
    or sent and TensorFlow does not load, unless an option asks for it. The exit code is 1 if a command would surely
    fail.

    Example: featstore doctor photos --model MobileNetV2 --model ResNet50
    """
    from featstore.api.diagnosing import doctor

    given = {**chosen(Recipe, recipe), **dict(data_options.given())}
    if data is None and given:
        raise UsageError(f"{flag(next(iter(given)), None)}: is for a forecast; give DATA too")
    where = options.chosen_cache(cache, rehash=False, engine=engine)
    found = doctor(data, network=network, deep=deep, cache=where, progress=not (json or quiet), **given)
    if json:
        print_json(found.describe())
    elif quiet:
        for line in found.problem_lines():
            note(line)
    else:
        print(found)
    if found.fails:
        raise typer.Exit(1)
