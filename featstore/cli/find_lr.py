"""`featstore find-lr`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import check_output, list_skipped, print_json, refuse_lost, warn, write_files
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.head_options import HeadParameterOptions, chosen_parameters
from featstore.comparison.grid import Measurement
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.system.progress import displayed
from featstore.training.head_recipe import HeadRecipe


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[
        GridOptions,
        Fields(Recipe, repeatable=["model", "weights", "alpha"], optional=["model"], leave_out=["weights_seed"]),
    ],
    head: Annotated[HeadRecipe, Fields(HeadRecipe, only=["head", "train_on", "seed"])],
    fractions: Annotated[Measurement, Fields(Measurement, only=["val_fraction", "test_fraction"])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    parameters: Annotated[dict[str, Any], HeadParameterOptions(leave_out=["rate"])],
    settings: options.Settings = [],
    concat: Annotated[
        bool, typer.Option("--concat", help="Put the features of several --model side by side in one head.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the losses over the rates there: .png.")
    ] = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Suggest a learning rate for a Keras head: it grows from step to step until the loss diverges.

    Example: featstore find-lr photos --model MobileNetV2 --head bn-dropout --plot rates.png
    """
    from featstore.datasets.sources import Source
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.heads.registry import HEADS
    from featstore.plots.files import kind_of
    from featstore.training.job import check_side_by_side
    from featstore.training.rate_finding import check_has_rate, find_rate

    check_output(plot, "--plot")
    if plot:
        kind_of(plot, "plot", ("png",))
    head = replace(head, parameters=chosen_parameters(settings, parameters))
    check_has_rate(head)
    recipe["model"] = recipe["model"] or HEADS[head.head].base or []
    recipes = make_recipes(head.seed, **recipe)
    check_side_by_side(recipes, concat)
    with displayed(not quiet) as progress:
        found = find_rate(
            Source(data, data_options, cache),
            recipes,
            head,
            val_fraction=fractions.val_fraction,
            test_fraction=fractions.test_fraction,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    lost = write_files((plot, "--plot", found.draw))
    warn(found.data.notes, progress)
    if json:
        print_json(found.describe())
    else:
        list_skipped(found.skipped)
        if not quiet:
            print(found)
    refuse_lost(lost)
