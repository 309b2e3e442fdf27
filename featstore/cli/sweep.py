"""`featstore sweep`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import command_line, list_skipped, note, print_json, say, warn
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.head_options import HeadParameterOptions, chosen_parameters
from featstore.cli.show import describe
from featstore.cli.units import parse_time
from featstore.comparison.grid import settings_by_head
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import AXES, GridOptions, Recipe
from featstore.sweeping.settings import SweepSettings
from featstore.system.progress import displayed
from featstore.training.head_recipe import HeadRecipe


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[
        GridOptions,
        Fields(Recipe, repeatable=["model", "weights", "alpha", *AXES], leave_out=["weights_seed"]),
    ],
    heads: Annotated[
        dict[str, Any],
        Fields(HeadRecipe, repeatable=["head"], optional=["head"], leave_out=["parameters", "seed", "memory"]),
    ],
    search: Annotated[SweepSettings, Fields(SweepSettings, leave_out=["time"])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    parameters: Annotated[dict[str, Any], HeadParameterOptions(leave_out=["folds"])],
    time: Annotated[
        float | None,
        typer.Option(
            "--time",
            metavar="TIME",
            parser=parse_time,
            help="End the search after this time, as in 90s, 5m or 2h, but not before its first trial; the winner is "
            "then trained. Default: no limit.",
            show_default=False,
        ),
    ] = None,
    settings: options.Settings = [],
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            help="File of the trials, from which the same command goes on. Default: one in RUNS/sweeps.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs.")] = Path("runs"),
    name: options.Name = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.QuietRun = False,
) -> None:
    """Search for the best head and its parameters by cross-validation; save the winner as a run.

    The test split is not used until the winner is trained, and measured on it once. --set fixes a parameter. An
    interrupted sweep goes on where it was.

    Example: featstore sweep photos --model DenseNet121 --trials 100 --time 5m
    """
    from featstore.datasets.sources import Source
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.sweeping.job import DEFAULT_HEADS, sweep_heads

    names = heads.pop("head") or list(DEFAULT_HEADS)
    fixed = settings_by_head(names, chosen_parameters(settings, parameters))
    recipes = make_recipes(search.seed, **recipe)
    with displayed(not quiet) as progress:
        sweep = sweep_heads(
            Source(data, data_options, cache),
            recipes,
            names,
            fixed,
            HeadRecipe(**heads),
            replace(search, time=time),
            cache=options.chosen_cache(cache, rehash),
            runs=runs,
            name=name,
            journal=journal,
            command=command_line(),
            progress=progress,
        )
    warn(sweep.notes, progress)
    for trial, reason in sweep.failed.items():
        note(f"failed: {trial}: {reason}")
    if json:
        skipped = [item._asdict() for item in sweep.skipped]
        print_json(sweep.describe() | {"run": describe(sweep.run), "data": sweep.data.describe(), "skipped": skipped})
        return
    list_skipped(sweep.skipped)
    say(str(sweep.run.folder)) if quiet else print(sweep)
