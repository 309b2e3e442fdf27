"""`featstore extract`"""

from __future__ import annotations

from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import image_progress, list_skipped, print_json, print_table

Preprocess = Annotated[list[str], typer.Option("--preprocess", help=f"Repeatable. {options.VARIANTS_HELP}")]


def command(
    data: options.Data,
    model: options.Model,
    weights: options.Weights = None,
    alpha: options.Alpha = None,
    preprocess: Preprocess = ["keras"],  # noqa: B006 - Typer copies it
    size: options.Size = None,
    fit: options.Fit = "squash",
    interpolation: options.Interpolation = "bilinear",
    reading: options.ReadingName = "pillow",
    layer: options.Layer = "last",
    pool: options.Pool = "avg",
    dtype: options.Dtype = "float16",
    seed: options.Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any file had to be skipped.")] = False,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a base over the images whose features are missing, and store them.

    Example: featstore extract photos --model MobileNetV2 --preprocess keras --preprocess rescale
    """
    from featstore.workflow import extract_features

    recipes = options.recipes(
        model, weights, alpha, seed, preprocess, size, fit, interpolation, reading, layer, pool, dtype
    )
    with image_progress(not quiet) as progress:
        extraction = extract_features(data, recipes, cache, progress)
    skipped = extraction.manifest.skipped
    if json:
        features = [features.describe() for features in extraction.features]
        print_json({"features": features, "skipped": [item._asdict() for item in skipped]})
    else:
        list_skipped(skipped)
    if not (json or quiet):
        header = ("preprocess", "images", "computed", "reused", "shape", "seconds", "path")
        rows = [
            (
                f.recipe.preprocess,
                str(f.images),
                str(f.computed),
                str(f.images - f.computed),
                "x".join(map(str, f.shape)),
                f"{f.seconds:.1f}",
                str(f.folder),
            )
            for f in extraction.features
        ]
        print_table(header, rows)
    if strict and skipped:
        raise typer.Exit(1)
