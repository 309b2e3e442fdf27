"""`featstore features`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import check_output, list_skipped, print_json, say, warn
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.system.figures import megabytes
from featstore.system.progress import displayed
from featstore.system.text import count


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[GridOptions, Fields(Recipe, leave_out=["views", "scales", "augment"])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    out: Annotated[
        Path, typer.Option("--out", help="The table: .parquet, .csv or .npz.", show_default=False, metavar="FILE")
    ],
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Save the features of a data set as a table: path, label, split, group, digest and vector of each image.

    What is missing is extracted first. A table has the features of one base, of each image as a whole: for several,
    make several tables, and join them by `digest`.

    Example: featstore features photos --model MobileNetV2 --out photos.parquet
    """
    from featstore.datasets.sources import scan
    from featstore.datasets.summary import summarize
    from featstore.extraction.pipeline import extract_all
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.features.save import save_features
    from featstore.features.table_files import table_kind

    table_kind(out, "out")
    check_output(out, "--out")
    recipes, chosen = make_recipes(**recipe), options.chosen_cache(cache, rehash)
    manifest = scan(data, data_options, cache)
    with displayed(not quiet) as progress:
        extraction = extract_all(manifest, recipes, chosen, progress)
        features = extraction.features[0]
        save_features(extraction.manifest, features.spec, out, cache=chosen, progress=progress)
    summary = summarize(extraction.manifest)
    warn(summary.notes, progress)
    skipped, size = extraction.manifest.skipped, out.stat().st_size
    if json:
        about = {"path": str(out), "rows": features.images, "bytes": size}
        told = {"data": summary.describe(), "skipped": [item._asdict() for item in skipped]}
        print_json({**about, "features": features.describe(), **told})
        return
    list_skipped(skipped)
    if not quiet:
        shape = "x".join(map(str, features.shape))
        say(f"{count(features.images, 'row')} of {shape} numbers in {out}, {megabytes(size)} MB")
