"""`featstore predict`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featstore.cli import options
from featstore.cli.console import STANDARD_OUTPUT, check_output, list_skipped, print_json, spreadsheet_text, write_file
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.system.progress import displayed

if TYPE_CHECKING:
    from featstore.runs.prediction import Prediction


@takes_fields
def command(
    run: options.RunFolder,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Image files or folders.", show_default=False)
    ],
    reading: Annotated[DataOptions, Fields(DataOptions, only=["follow_links"])],
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            help="Also write path, label and probabilities there; - for standard output, and nothing else there.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            help="Also draw the images with their labels there: .pdf in pages, or .png up to 200. Unsure ones have an "
            "orange frame; red ones lie in the folder of another class.",
        ),
    ] = None,
    weights: options.MovedWeights = [],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any file had to be skipped.")] = False,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Label new images with a trained head.

    Example: featstore predict runs/photos-MobileNetV2-tf-224-logistic new/ --csv labels.csv
    """
    from featstore.datasets.sources import list_files
    from featstore.plots.files import kind_of
    from featstore.runs.files import load_run
    from featstore.runs.prediction import labels_of_folders, predict_images
    from featstore.runs.titles import title_of

    kind = kind_of(sheet, "sheet", ("png", "pdf")) if sheet else "png"
    check_output(csv, "--csv", json=json)
    check_output(sheet, "--sheet")
    trained = load_run(run)
    manifest = list_files(images, reading)
    with displayed(not quiet) as progress:
        prediction = predict_images(
            trained,
            manifest,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    if csv is not None:
        _write_csv(csv, trained.classes, prediction)
    if sheet is not None:
        right = labels_of_folders(prediction, trained.classes)
        write_file(sheet, prediction.draw_sheet(kind, right, title_of(trained)), "--sheet")
    if json:
        print_json(
            {
                "run": str(run),
                "predictions": [
                    {
                        "path": image.path,
                        "label": image.label,
                        "probability": image.probability,
                        "probabilities": dict(zip(trained.classes, image.probabilities, strict=True)),
                    }
                    for image in prediction.images
                ],
                "skipped": [item._asdict() for item in prediction.skipped],
            }
        )
    else:
        list_skipped(prediction.skipped)
    if not (json or quiet or csv == STANDARD_OUTPUT):
        print(prediction)
    if strict and prediction.skipped:
        raise typer.Exit(1)


def _write_csv(path: Path, classes: tuple[str, ...], prediction: Prediction) -> None:
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text)  # lines end as in RFC 4180: with "\n" alone, a name with "\r" would begin another line
    rows.writerow(["path", "label", *(f"p:{name}" for name in classes)])  # a class may be called `path` or `label`
    for image in prediction.images:
        rows.writerow([*map(spreadsheet_text, (image.path, image.label)), *image.probabilities])
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"), "--csv")
