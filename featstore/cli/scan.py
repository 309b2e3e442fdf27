"""`featstore scan`"""

from __future__ import annotations

from typing import Annotated

from featstore.cli import options
from featstore.cli.console import flag, list_skipped, print_json, warn
from featstore.cli.fields import Fields, chosen, takes_fields
from featstore.datasets.options import DataOptions
from featstore.errors import UsageError
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.system.progress import displayed


@takes_fields
def command(
    data: options.Data,
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    recipe: Annotated[
        GridOptions,
        Fields(Recipe, repeatable=["model", "weights", "alpha"], optional=["model"], leave_out=["weights_seed"]),
    ],
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    engine: options.Engine = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say what a data set holds before any extraction: layout, classes, sizes, copies, leaks, unreadable files.

    With --model, a base is tried on a few images to forecast time, disk and memory for all of them. Without it,
    TensorFlow does not load.

    Example: featstore scan photos --model MobileNetV2
    """
    from featstore.datasets.sources import scan
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.extraction.survey import survey

    recipes = make_recipes(**recipe) if recipe["model"] else []
    if not recipes:
        _refuse_without_model(recipe)
    manifest = scan(data, data_options, cache)
    with displayed(not quiet) as progress:
        found = survey(manifest, recipes, options.chosen_cache(cache, rehash, engine), progress)
    if json:
        print_json(found.describe())
        return
    list_skipped(found.manifest.skipped)
    if quiet:
        warn(found.data.notes, progress)
    else:
        print(found)
        if not recipes:
            print("forecast: give --model, and the time for an extraction is measured on a few images")


def _refuse_without_model(recipe: GridOptions) -> None:
    for name in chosen(Recipe, recipe):
        raise UsageError(f"{flag(name, None)}: is for a forecast; give it with --model")
