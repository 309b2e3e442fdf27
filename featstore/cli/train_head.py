"""`featstore train-head`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import command_line, list_skipped, print_json, say, warn
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.head_options import HeadParameterOptions, chosen_parameters
from featstore.cli.show import describe
from featstore.cli.units import parse_bytes
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
    head: Annotated[HeadRecipe, Fields(HeadRecipe, leave_out=["parameters"], parsers={"memory": parse_bytes})],
    measurement: Annotated[
        Measurement, Fields(Measurement, only=["folds", "seeds", "val_fraction", "test_fraction", "val_as_test"])
    ],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    parameters: Annotated[dict[str, Any], HeadParameterOptions(leave_out=["folds"])],
    settings: options.Settings = [],
    concat: Annotated[
        bool, typer.Option("--concat", help="Put the features of several --model side by side in one head.")
    ] = False,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs.")] = Path("runs"),
    name: options.Name = None,
    tensorboard: options.TensorBoard = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.QuietRun = False,
) -> None:
    """Train a head on cached features; what is missing is extracted first.

    With --folds the head is also measured by cross-validation, which uses all images and not only those of one split.

    Example: featstore train-head photos --model MobileNetV2 --head bn-dropout --set p=0.6
    """
    from featstore.datasets.sources import Source
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.heads.registry import entry_of
    from featstore.training.job import check_side_by_side, train

    head = replace(head, parameters=chosen_parameters(settings, parameters))
    recipe["model"] = recipe["model"] or entry_of(head.head).base or []
    recipes = make_recipes(head.seed, **recipe)
    check_side_by_side(recipes, concat)
    with displayed(not quiet) as progress:
        trained = train(
            Source(data, data_options, cache),
            recipes,
            head,
            val_fraction=measurement.val_fraction,
            test_fraction=measurement.test_fraction,
            val_as_test=measurement.val_as_test,
            folds=measurement.folds,
            seeds=measurement.seeds,
            cache=options.chosen_cache(cache, rehash),
            runs=runs,
            name=name,
            tensorboard=tensorboard,
            command=command_line(),
            progress=progress,
        )
    warn(trained.run.notes, progress)
    if json:
        skipped = [item._asdict() for item in trained.manifest.skipped]
        print_json(describe(trained.run) | {"data": trained.data.describe(), "skipped": skipped})
        return
    list_skipped(trained.manifest.skipped)
    say(str(trained.run.folder)) if quiet else print(trained.run)
