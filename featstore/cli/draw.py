"""`featstore draw`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import check_output, print_json, say, write_file


def command(
    run: options.RunFolder,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File of the picture: .png, .pdf or .svg. Default: network.png in RUN."),
    ] = None,
    weights: options.MovedWeights = [],
    cache: options.RunCache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw the network of a run: the frozen base, the cached features, and the layers of the head with their shapes.

    Example: featstore draw runs/photos-MobileNetV2-tf-224-bn-dropout --output network.pdf
    """
    from featstore.finetuning.drawing import draw_run
    from featstore.plots.files import kind_of
    from featstore.runs.files import load_run

    trained = load_run(run)
    path = output or run / "network.png"
    kind = kind_of(path, "output")
    check_output(path, "--output")
    picture = draw_run(trained, kind, weights=weights or None, cache=options.chosen_cache(cache, rehash))
    write_file(path, picture, "--output")
    if json:
        print_json({"run": str(run), "picture": str(path)})
    elif not quiet:
        say(f"drawn in {path}")
