"""`featstore compare`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json, spreadsheet_text
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.head_options import HeadParameterOptions, chosen_parameters
from featstore.comparison.grid import Measurement
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
    heads: Annotated[dict[str, Any], Fields(HeadRecipe, repeatable=["head"], leave_out=["parameters", "seed"])],
    measurement: Annotated[Measurement, Fields(Measurement)],
    reading: Annotated[DataOptions, Fields(DataOptions)],
    parameters: Annotated[dict[str, Any], HeadParameterOptions(leave_out=["folds"])],
    settings: options.Settings = [],
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the table there.")] = None,
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Also draw accuracies and learning curves there, as PNG.")
    ] = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure bases x preprocessings x sizes x views x heads on the same images. Say which differences are significant.

    Features come from the cache, and missing ones are extracted. Run an interrupted grid again to resume it.

    Example: featstore compare photos --model MobileNetV2 --preprocess keras --preprocess rescale --preprocess raw
    """
    from featstore.comparison.job import measure_grid
    from featstore.datasets.sources import scan
    from featstore.extraction.recipe_grid import make_recipes

    names = heads.pop("head")
    with displayed(not quiet) as progress:
        comparison = measure_grid(
            scan(data, reading),
            make_recipes(measurement.seed, **recipe),
            names,
            chosen_parameters(settings, parameters),
            HeadRecipe(**heads),
            measurement,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    _write(comparison, data, csv, chart)
    for text in comparison.notes:
        note(f"warning: {text}")
    for command_, reason in comparison.failed:
        note(f"not measured: {command_}: {reason}")
    if json:
        print_json(
            {
                "rows": [row.describe() for row in comparison.rows],
                "findings": list(comparison.findings),
                "notes": list(comparison.notes),
                "remarks": list(comparison.remarks),
                "failed": [item._asdict() for item in comparison.failed],
                "skipped": [item._asdict() for item in comparison.skipped],
            }
        )
        return
    list_skipped(comparison.skipped)
    if not quiet:
        print(comparison)


def _write(comparison: Comparison, data: str, csv: Path | None, chart: Path | None) -> None:
    """Write the files that were asked for. This comes before printing, since a broken pipe must not lose them."""
    from featstore.cli.console import write_file

    if csv is not None:
        write_file(csv, _as_csv(comparison).encode("utf-8", "surrogateescape"), "--csv")
    if chart is not None:
        from featstore.plots.comparison import draw_comparison

        names = {row.cell: row.name for row in comparison.rows}
        curves = [(names[cell], curve) for cell, curve in comparison.curves.items()]
        accuracies = [row.accuracy for row in comparison.rows]
        intervals = [row.accuracy_ci95 for row in comparison.rows]
        title = f"{Path(data).name}: accuracy on {comparison.split}, {comparison.rows[0].n} images"
        write_file(chart, draw_comparison(list(names.values()), accuracies, intervals, curves, title), "--chart")


def _as_csv(comparison: Comparison) -> str:
    import csv
    import io

    text = io.StringIO()
    rows = [row.describe() for row in comparison.rows]
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        size = "x".join(map(str, row["size"]))
        intervals = {key: " ".join(map(str, row[key])) for key in row if key.endswith("_ci95")}
        never_found = "; ".join(row["never_found"])
        texts = {key: spreadsheet_text(value) for key, value in row.items() if isinstance(value, str)}
        writer.writerow(row | texts | intervals | {"size": size, "never_found": spreadsheet_text(never_found)})
    return text.getvalue()
