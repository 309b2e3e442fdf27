"""`featstore check-base`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, print_json
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import Recipe
from featstore.system.progress import displayed

_FIELDS = ["model", "weights", "alpha", "size", "fit", "interpolation", "bits", "resize", "scales", "weights_seed"]


@takes_fields
def command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of photos; folders named by classes, as n01440764 or tench, are labels.",
            show_default=False,
        ),
    ],
    recipe: Annotated[Recipe, Fields(Recipe, only=_FIELDS)],
    reading: Annotated[DataOptions, Fields(DataOptions)],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="CSV path,label with numbers from 0, WordNet ids or names of classes; or folders: the folders' names.",
            show_default=False,
        ),
    ] = None,
    class_index: Annotated[
        Path | None,
        typer.Option(
            "--class-index",
            help="Names of the classes, as Keras' imagenet_class_index.json, a list or lines. Default: that file, "
            "next to the weights or in ~/.keras/models.",
            show_default=False,
        ),
    ] = None,
    preprocess: Annotated[
        list[str],
        typer.Option(
            "--preprocess",
            help="Repeatable. Default: all named variants. What the base was trained with is always measured too.",
            show_default=False,
        ),
    ] = [],
    views: Annotated[
        list[str],
        typer.Option("--views", help="With labels: one, flip, five, ten. Repeatable. Default: all four."),
    ] = [],
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check the preprocessing of a base: by ImageNet top-1 and top-5 with labels, by statistics of any photos without.

    Example: featstore check-base photos --model MobileNetV2
    """
    from featstore.base_check.job import check_base
    from featstore.datasets.sources import as_images

    manifest = as_images(data, reading, cache)
    with displayed(not quiet) as progress:
        check = check_base(
            manifest,
            recipe,
            preprocess,
            labels=labels,
            class_index=class_index,
            views=views,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    if json:
        print_json(check.describe())
        return
    list_skipped(check.skipped)
    if not quiet:
        print(check)
