"""`featstore extract`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json
from featstore.system.progress import displayed
from featstore.system.text import count

if TYPE_CHECKING:
    pass


def command(
    data: options.Data,
    model: options.Model,
    weights: options.Weights = None,
    alpha: options.Alpha = None,
    preprocess: options.Variants = ["keras"],  # noqa: B006 - Typer copies it
    size: options.Size = None,
    fit: options.Fit = None,
    interpolation: options.Interpolation = "bilinear",
    reading: options.ReadingName = "pillow",
    layer: options.Layer = "last",
    pool: options.Pool = None,
    dtype: options.Dtype = "float16",
    views: options.Views = "one",
    resize: options.Resize = None,
    scales: options.Scales = None,
    augment: options.Augment = None,
    seed: options.Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any file had to be skipped.")] = False,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a base over the images whose features are missing, and store them.

    Example: featstore extract photos --model MobileNetV2 --preprocess keras --preprocess rescale
    """
    from featstore.extraction.pipeline import extract

    with displayed(not quiet) as progress:
        extraction = extract(
            data,
            preprocess=preprocess,
            cache=cache,
            progress=progress,
            model=model,
            weights=weights,
            alpha=alpha,
            weights_seed=seed,
            size=size,
            fit=fit,
            interpolation=interpolation,
            reading=reading,
            layer=layer,
            pool=pool,
            dtype=dtype,
            views=views,
            resize=resize,
            scales=scales,
            augment=augment,
        )
    skipped = extraction.manifest.skipped
    if json:
        features = [features.describe() for features in extraction.features]
        print_json({"features": features, "skipped": [item._asdict() for item in skipped]})
    else:
        list_skipped(skipped)
        for made in extraction.features:
            if made.damaged:
                note(
                    f"{made.folder}: passed over {count(len(made.damaged), 'damaged shard')}: `featstore cache repair`"
                )
    if not (json or quiet):
        print(extraction)
    if strict and skipped:
        raise typer.Exit(1)
