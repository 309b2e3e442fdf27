"""`featstore predict`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featstore.cli import options
from featstore.cli.console import (
    STANDARD_OUTPUT,
    check_output,
    list_skipped,
    note,
    print_json,
    refuse_lost,
    write_files,
)
from featstore.cli.csv_columns import Column, all_columns, check_numbers, parse_columns
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions, ImageKeywords
from featstore.errors import UsageError
from featstore.runs.submission_options import SubmissionOptions
from featstore.system.progress import displayed

if TYPE_CHECKING:
    from featstore.runs.prediction import Prediction


@takes_fields
def command(
    run: options.RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...", help="Image files or folders, or a table of paths; URLs too.", show_default=False
        ),
    ],
    data_options: Annotated[DataOptions, Fields(DataOptions, only=list(ImageKeywords.__annotations__))],
    submission_options: Annotated[SubmissionOptions, Fields(SubmissionOptions)],
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            help="Also write path, label and probabilities there, or the submission (default: submission.csv); - for "
            "standard output, and nothing else there.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="With --csv: other columns, as in ImageId=stem,Label=label; of path, name, stem, number, label, "
            "probability, strength, answers and p:CLASS.",
            show_default=False,
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
    top: Annotated[
        int, typer.Option("--top", min=1, help="Number of classes of each image to print, the most probable first.")
    ] = 1,
    unsure: Annotated[
        float | None,
        typer.Option(
            "--unsure",
            metavar="SHARE",
            help="Answer with as many classes as it takes, or `not sure`, so that for this share of the images, such "
            "as 0.9, the right one is among them.",
            show_default=False,
        ),
    ] = None,
    weights: options.MovedWeights = [],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any file had to be skipped.")] = False,
    cache: options.RunCache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Label new images with a trained head.

    Example: featstore predict runs/photos-MobileNetV2-tf-224-logistic new/ --csv labels.csv
    """
    from featstore.datasets.array_files import ARRAYS, PIXELS
    from featstore.plots.files import kind_of
    from featstore.runs.files import load_run
    from featstore.runs.prediction import labels_of_folders, predict_images
    from featstore.runs.submission import plan_submission
    from featstore.runs.titles import title_of

    kind = kind_of(sheet, "sheet", ("png", "pdf")) if sheet else "png"
    trained = load_run(run)
    submission = plan_submission(submission_options, trained.classes)
    if submission and columns is not None:
        raise UsageError(f"--columns {columns}: is for --csv without a submission; leave it out")
    if submission and csv is None:
        csv = Path("submission.csv")
    check_output(csv, "--csv", json=json)
    check_output(sheet, "--sheet")
    if columns is not None and csv is None:
        raise UsageError(f"--columns {columns}: has no effect without --csv")
    has_answers = unsure is not None
    chosen = (
        all_columns(trained.classes, has_answers)
        if columns is None
        else parse_columns(columns, trained.classes, has_answers)
    )
    with displayed(not quiet) as progress:
        prediction = predict_images(
            trained,
            images[0] if len(images) == 1 else images,
            data_options,
            unsure=unsure,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    competition = submission.write(prediction) if submission else None
    if csv is not None and prediction.layout not in (ARRAYS, PIXELS):
        check_numbers(chosen, images, prediction.images)
    lost = write_files(
        (csv, "--csv", lambda: _as_csv(chosen, prediction) if competition is None else competition),
        (sheet, "--sheet", lambda: prediction.draw_sheet(kind, labels_of_folders(prediction), title_of(trained))),
    )
    if json:
        print_json(
            {
                "run": str(run),
                "unsure": unsure,
                "predictions": [
                    {
                        "path": image.path,
                        "label": image.label,
                        "probability": image.probability,
                        "strength": image.strength,
                        "answers": image.answers,
                        "top": [list(share) for share in prediction.most_probable(image, top)],
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
        print(*prediction.parts(top), sep="\n")
    if submission and not quiet:
        note(f"{submission.describe()}{'' if csv == STANDARD_OUTPUT else f'; saved in {csv}'}")
    refuse_lost(lost)
    if strict and prediction.skipped:
        raise typer.Exit(1)


def _as_csv(columns: Sequence[Column], prediction: Prediction) -> bytes:
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text)  # lines end as in RFC 4180: with "\n" alone, a name with "\r" would begin another line
    rows.writerow([column.name for column in columns])
    for number, image in enumerate(prediction.images, 1):
        rows.writerow([column.cell(number, image) for column in columns])
    return text.getvalue().encode("utf-8", "surrogateescape")
