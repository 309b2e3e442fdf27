"""`featstore compare`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import (
    STANDARD_OUTPUT,
    check_output,
    list_skipped,
    note,
    print_json,
    refuse_lost,
    spreadsheet_text,
    warn,
    write_files,
)
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.head_options import HeadParameterOptions, chosen_parameters
from featstore.comparison.grid import Measurement, settings_by_head
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import AXES, GridOptions, Recipe
from featstore.system.progress import displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.comparison.result import Comparison


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[
        GridOptions,
        Fields(
            Recipe,
            repeatable=["model", "weights", "alpha", *AXES],
            leave_out=["weights_seed"],
        ),
    ],
    heads: Annotated[
        dict[str, Any], Fields(HeadRecipe, repeatable=["head"], leave_out=["parameters", "seed", "memory"])
    ],
    measurement: Annotated[Measurement, Fields(Measurement)],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    parameters: Annotated[dict[str, Any], HeadParameterOptions(leave_out=["folds"])],
    settings: options.Settings = [],
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Also write the table there; - for standard output, and nothing else there."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", help="Also draw accuracies and learning curves there: .png, .pdf or .svg."),
    ] = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure every combination of bases, heads and options of features on the same images. Say which differences are
    significant.

    Features come from the cache, and missing ones are extracted. An interrupted grid, run again, finds its features
    there and trains its heads again.

    Example: featstore compare photos --model MobileNetV2 --preprocess keras --preprocess rescale --preprocess raw
    """
    from featstore.comparison.chart import draw_chart
    from featstore.comparison.job import measure_grid
    from featstore.datasets.sources import Source
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.plots.files import kind_of

    check_output(csv, "--csv", json=json)
    check_output(chart, "--chart")
    kind = kind_of(chart, "chart") if chart else "png"
    names, chosen = heads.pop("head"), chosen_parameters(settings, parameters)
    settings_by_head(names, chosen)  # a slip is told before the data are read, which takes time
    recipes = make_recipes(measurement.seed, **recipe)
    with displayed(not quiet) as progress:
        comparison = measure_grid(
            Source(data, data_options, cache),
            recipes,
            names,
            chosen,
            HeadRecipe(**heads),
            measurement,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    lost = write_files(
        (csv, "--csv", lambda: _as_csv(comparison)),
        (chart, "--chart", lambda: draw_chart(comparison, data, measurement, kind)),
    )
    warn(comparison.notes, progress)
    for command_, reason in comparison.failed:
        note(f"not measured: {command_}: {reason}")
    if json:
        print_json(
            {
                "rows": [row.describe() for row in comparison.rows],
                "findings": list(comparison.findings),
                "split": comparison.split,
                "shared": list(comparison.shared),
                "notes": list(comparison.notes),
                "remarks": list(comparison.remarks),
                "data": comparison.data.describe(),
                "failed": [item._asdict() for item in comparison.failed],
                "skipped": [item._asdict() for item in comparison.skipped],
            }
        )
    else:
        list_skipped(comparison.skipped)
        if not (quiet or csv == STANDARD_OUTPUT):
            print(comparison)
    refuse_lost(lost)


def _as_csv(comparison: Comparison) -> bytes:
    import csv
    import io

    text = io.StringIO()
    rows = [_flat(row.describe()) for row in comparison.rows]
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with one number or text in each cell: an interval has two columns."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("_ci95"):
            name = key.removesuffix("_ci95")
            cells |= {f"{name}_low": value[0], f"{name}_high": value[1]}
        elif key == "size":
            cells[key] = "x".join(map(str, value))
        elif key == "never_found":
            cells[key] = spreadsheet_text("; ".join(value))
        elif key == "accuracy_by_fold":
            cells[key] = "; ".join(" ".join(map(str, of_seed)) for of_seed in value)
        elif key == "parameters":
            cells[key] = " ".join(f"{name}={setting}" for name, setting in value.items())
        else:
            cells[key] = spreadsheet_text(value) if isinstance(value, str) else value
    return cells
