"""`featstore explain`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import check_output, list_skipped, print_json, refuse_lost, write_files
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.system.progress import displayed


@takes_fields
def command(
    run: options.RunFolder,
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="Image files or folders, or a table of paths; URLs too. With --wrong labelled data; default: those of "
            "the run.",
            show_default=False,
        ),
    ] = [],
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="cam, grad-cam, hires-cam, cells or occlusion. Default: cam where the head is linear, which is exact; "
            "else hires-cam where it is a network; else cells; else occlusion.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="CLASS",
            help="Explain this class. Default: the answer to each image.",
            show_default=False,
        ),
    ] = None,
    wrong: Annotated[
        int | None,
        typer.Option(
            "--wrong", metavar="N", min=1, help="Explain the N most confident wrong answers.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write a PNG of each image with its heat into this folder."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            help="Draw all images with their heat there: .pdf in pages, or .png up to 200. Wrong answers have a red "
            "frame.",
        ),
    ] = None,
    weights: options.MovedWeights = [],
    cache: options.RunCache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show which parts of images speak for an answer, and which against it.

    Example: featstore explain runs/photos-MobileNetV2-tf-224-logistic new/ --sheet heat.png
    """
    from featstore.explanation.job import explain_images
    from featstore.explanation.pictures import make_folder
    from featstore.plots.files import kind_of
    from featstore.runs.files import load_run

    kind = kind_of(sheet, "sheet", ("png", "pdf")) if sheet else "png"
    trained = load_run(run)
    check_output(sheet, "--sheet")
    if out is not None:
        make_folder(out)
    with displayed(not quiet) as progress:
        explained = explain_images(
            trained,
            images[0] if len(images) == 1 else images or None,
            data_options,
            wrong=wrong,
            method=method,
            label=label,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    overlays = [] if out is None else explained.save_overlays(out)
    lost = write_files((sheet, "--sheet", lambda: explained.draw_sheet(kind)))
    if json:
        print_json(explained.describe() | {"run": str(run), "overlays": [str(path) for path in overlays]})
    else:
        list_skipped(explained.skipped)
        if not quiet:
            print(explained)
    refuse_lost(lost)
