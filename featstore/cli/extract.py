"""`featstore extract`"""

from __future__ import annotations

from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json, warn
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import AXES, GridOptions, Recipe
from featstore.system.progress import displayed
from featstore.system.text import count


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[GridOptions, Fields(Recipe, repeatable=["model", "weights", "alpha", *AXES])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    devices: Annotated[
        str | None,
        typer.Option(
            "--devices",
            metavar="LIST",
            help="What computes, with a process for each: all GPUs, or a list such as 0,1 or cpu,cpu. "
            "Default: what TensorFlow finds, in one process.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Compute on Ray: on the cluster at this address, as host:6379 or auto; without one, on a Ray that is "
            "started here for this command, whose token is in no file. Give it after DATA.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Workers on Ray, each with a base of its own. Default: as many as GPUs, or else nodes.",
            show_default=False,
        ),
    ] = None,
    num_gpus: Annotated[
        float | None,
        typer.Option(
            "--num-gpus",
            metavar="G",
            help="GPUs of each worker, as 0.5 for two that share one. Default: 1 where there are any.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any file had to be skipped.")] = False,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    engine: options.Engine = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a base over the images whose features are missing, and store them.

    Options that are given several times make a set of features for each combination; each image is read once.

    Example: featstore extract photos --model MobileNetV2 --preprocess keras --preprocess rescale
    """
    from featstore.cluster.options import parse_cluster
    from featstore.datasets.sources import scan
    from featstore.datasets.summary import summarize
    from featstore.extraction.devices import parse_devices
    from featstore.extraction.pipeline import extract_all
    from featstore.extraction.recipe_grid import make_recipes

    cluster = parse_cluster(ray, workers, num_gpus, devices)
    recipes, places = make_recipes(**recipe), parse_devices(devices)
    manifest, chosen = scan(data, data_options, cache), options.chosen_cache(cache, rehash, engine)
    with displayed(not quiet) as progress:
        if cluster:
            from featstore.cluster.job import extract_on_ray

            extraction = extract_on_ray(cluster, manifest, recipes, chosen, progress)
        elif places:
            from featstore.extraction.device_processes import extract_on

            extraction = extract_on(places, manifest, recipes, chosen, progress)
        else:
            extraction = extract_all(manifest, recipes, chosen, progress)
    summary = summarize(extraction.manifest)
    warn(summary.notes, progress)
    skipped = extraction.manifest.skipped
    if json:
        features = [features.describe() for features in extraction.features]
        print_json({"features": features, "data": summary.describe(), "skipped": [item._asdict() for item in skipped]})
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
