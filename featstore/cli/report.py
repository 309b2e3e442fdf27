"""`featstore report`"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import check_output, command_line, list_skipped, note, print_json, warn
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.units import parse_time
from featstore.datasets.options import DataOptions
from featstore.errors import DataError, UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.objects.places import kind_of, settle_place
from featstore.reporting.settings import PageSettings, SearchSettings
from featstore.system.progress import displayed
from featstore.training.head_recipe import HeadRecipe

_RUNS = Path("runs")


@takes_fields
def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA | RUN...",
            help="A data set, as for train-head; or the folders of one or more runs.",
            show_default=False,
        ),
    ],
    recipe: Annotated[
        dict[str, Any],
        Fields(Recipe, repeatable=["model", "weights", "alpha"], optional=["model"], leave_out=["weights_seed"]),
    ],
    heads: Annotated[dict[str, Any], Fields(HeadRecipe, repeatable=["head"], optional=["head"], only=["head"])],
    search: Annotated[SearchSettings, Fields(SearchSettings, leave_out=["time"])],
    page: Annotated[PageSettings, Fields(PageSettings, leave_out=["images"])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    time: Annotated[
        float | None,
        typer.Option(
            "--time",
            metavar="TIME",
            parser=parse_time,
            help="End the search after this time, as in 90s, 5m or 2h, but not before its first trial. Default: no "
            "limit.",
            show_default=False,
        ),
    ] = None,
    no_images: Annotated[
        bool,
        typer.Option(
            "--no-images",
            help="Leave out thumbnails and heat maps: the page has the paths of images only, for private data.",
        ),
    ] = False,  # without its opposite, since --images is the folder of a table
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="With runs: where the labelled images are now. Default: where those of the first run were.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="With data: folder of the runs.")] = _RUNS,
    name: options.Name = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write one page about a data set or about runs: an HTML file that needs nothing else.

    With DATA, the images are audited, the best head is searched for and saved as a run, what more photos would be worth
    is measured, and the answers to look at are explained. With RUN, runs that exist are measured again, side by side.

    Example: featstore report photos --model MobileNetV2 --out photos.html
    """
    from featstore.datasets.sources import Source
    from featstore.reporting.job import report_data, report_runs
    from featstore.runs.files import load_run
    from featstore.sweeping.job import DEFAULT_HEADS

    check_output(out, "--out")
    page = replace(page, images=not no_images)
    shared: dict[str, Any] = {"out": out, "cache": options.chosen_cache(cache, rehash), "command": command_line()}
    if folders := _runs_among(sources):
        weights = recipe.pop("weights") or None
        _refuse(recipe, Recipe)
        _refuse({**vars(search), "time": time}, SearchSettings)
        _refuse({**heads, "name": name, "runs": None if runs == _RUNS else runs})
        loaded = [load_run(folder) for folder in folders]
        with displayed(not quiet) as progress:
            report = report_runs(loaded, data, data_options, page, weights=weights, **shared, progress=progress)
    else:
        if data is not None:
            raise UsageError(f"{param('data', data)}: is for a report about runs, and {sources[0]} has no run.json")
        features, tried = _only_recipe(recipe, page.seed), heads["head"] or DEFAULT_HEADS
        source, search = Source(sources[0], data_options, cache), replace(search, time=time)
        shared |= {"runs": runs, "name": name}
        with displayed(not quiet) as progress:
            report = report_data(source, features, tried, search, page, **shared, progress=progress)
    warn(report.alarms, progress)
    if json:
        print_json(report.describe())
        return
    list_skipped(report.skipped)
    if not quiet:
        print(report)


def _runs_among(sources: Sequence[str]) -> list[str]:
    """Return the folders of runs; none for a data set.

    What lies next to the runs, such as the journals of sweeps in `runs/*`, is left out with a note. Raises DataError
    for a path that does not exist, since no option mends that, and UsageError for a mixture of runs and data.
    """
    for source in sources:
        if kind_of(settle_place(source, "data")) is None:
            raise DataError(f"{source}: no such file or folder; give a data set, or the folders of runs")
    runs = [source for source in sources if os.path.isfile(os.path.join(source, "run.json"))]
    if not runs and len(sources) > 1:
        raise UsageError(f"expected one data set or the folders of runs, found {len(sources)} paths without a run.json")
    places = {os.path.dirname(os.path.abspath(run)) for run in runs}
    for other in [source for source in sources if runs and source not in runs]:
        if os.path.dirname(os.path.abspath(other)) not in places:
            raise UsageError(f"{other}: has no run.json, and the others are runs")
        note(f"{other}: left out, since it is not a run (it has no run.json)")
    return runs


def _only_recipe(options: dict[str, Any], seed: int) -> Recipe:
    """Return the recipe of the features; raises UsageError for several."""
    from featstore.extraction.recipe_grid import make_recipes

    recipes = make_recipes(seed, **options)
    if len(recipes) > 1:
        raise UsageError(f"{len(recipes)} sets of features, but a report takes one; compare measures several")
    return recipes[0]


def _refuse(options: Mapping[str, Any], of: type | None = None) -> None:
    """Raise UsageError for an option that is given, since runs have their features, heads and folders.

    of: the dataclass that has the defaults of the options; without it they are None or an empty list.
    """
    defaults = {field.name: field.default for field in fields(of)} if of else {}
    for name, value in options.items():
        if value not in (defaults.get(name), None, []):
            shown = value[0] if isinstance(value, list) else value
            raise UsageError(f"{param(name, shown)}: has no effect on a report about runs; leave it out")
