"""`featstore learning-curve`"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import check_output, list_skipped, print_json, refuse_lost, warn, write_files
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.head_options import HeadParameterOptions, chosen_parameters
from featstore.comparison.grid import Measurement, settings_by_head
from featstore.datasets.options import DataOptions
from featstore.errors import UsageError
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.objects.urls import absolute
from featstore.system.progress import displayed
from featstore.training.head_recipe import HeadRecipe


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[
        GridOptions,
        Fields(Recipe, repeatable=["model", "weights", "alpha"], leave_out=["weights_seed"]),
    ],
    heads: Annotated[
        dict[str, Any], Fields(HeadRecipe, repeatable=["head"], leave_out=["parameters", "seed", "memory"])
    ],
    measurement: Annotated[
        Measurement, Fields(Measurement, only=["seed", "val_fraction", "test_fraction", "val_as_test"])
    ],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    parameters: Annotated[dict[str, Any], HeadParameterOptions(leave_out=["folds"])],
    settings: options.Settings = [],
    draws: Annotated[int, typer.Option("--draws", min=1, help="How many training sets of each size are drawn.")] = 5,
    more: Annotated[
        int | None,
        typer.Option(
            "--more",
            min=1,
            help="How many more photos of each class to judge. Default: about half as many as there are.",
            show_default=False,
        ),
    ] = None,
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Also draw the curve there: .png, .pdf or .svg.")
    ] = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure heads trained on more and more of the images, and say what more photos would be worth.

    Example: featstore learning-curve photos --model MobileNetV2 --chart curve.png
    """
    from featstore.comparison.learning_curve import measure_learning_curve
    from featstore.datasets.sources import Source
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.plots.files import kind_of

    check_output(chart, "--chart")
    kind = kind_of(chart, "chart") if chart else "png"
    names, chosen = heads.pop("head"), chosen_parameters(settings, parameters)
    settings_by_head(names, chosen)
    recipes = make_recipes(measurement.seed, **recipe)
    if len(recipes) > 1:
        raise UsageError(f"{len(recipes)} sets of features, but a learning curve takes one; compare measures several")
    with displayed(not quiet) as progress:
        curve = measure_learning_curve(
            Source(data, data_options, cache),
            recipes[0],
            names,
            chosen,
            HeadRecipe(**heads),
            measurement,
            draws=draws,
            more=more,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    lost = write_files((chart, "--chart", lambda: curve.draw(kind, f"{os.path.basename(absolute(data))}: accuracy")))
    warn(curve.notes, progress)
    if json:
        print_json(curve.describe())
    else:
        list_skipped(curve.skipped)
        if not quiet:
            print(curve)
    refuse_lost(lost)
