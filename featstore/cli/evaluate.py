"""`featstore evaluate`"""

from __future__ import annotations

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
    spreadsheet_text,
    warn,
    write_files,
)
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.system.progress import displayed

if TYPE_CHECKING:
    from featstore.runs.evaluation import Evaluation


@takes_fields
def command(
    run: options.RunFolder,
    data: options.Data,
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    per_class: Annotated[bool, typer.Option("--per-class", help="Also print the figures of each class.")] = False,
    confusion: Annotated[
        Path | None,
        typer.Option(
            "--confusion", help="CSV for the confusion matrix; - for standard output, and nothing else there."
        ),
    ] = None,
    weights: options.MovedWeights = [],
    cache: options.RunCache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure a run on labelled images: accuracy with its interval and log loss, split by split and class by class.

    Example: featstore evaluate runs/photos-MobileNetV2-tf-224-logistic new-photos
    """
    from featstore.datasets.sources import scan
    from featstore.evaluation.metrics import describe_splits
    from featstore.runs.evaluation import evaluate_run
    from featstore.runs.files import load_run

    check_output(confusion, "--confusion", json=json)
    manifest = scan(data, data_options, cache)
    with displayed(not quiet) as progress:
        found = evaluate_run(
            load_run(run),
            manifest,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    lost = write_files((confusion, "--confusion", lambda: _confusion_csv(found)))
    warn(found.notes, progress)
    if json:
        skipped = [item._asdict() for item in found.skipped]
        metrics = describe_splits(found.metrics)
        print_json(
            {
                "run": str(run),
                "metrics": metrics,
                "per_class": {
                    split: [row.describe() for row in counted.per_class] for split, counted in found.confusion.items()
                },
                "unlabelled": found.unlabelled,
                "notes": list(found.notes),
                "remarks": list(found.remarks),
                "data": found.data.describe(),
                "skipped": skipped,
            }
        )
    else:
        list_skipped(found.skipped)
        if found.unlabelled:
            note(f"images without a label, left out: {found.unlabelled}")
        if not (quiet or confusion == STANDARD_OUTPUT):
            _print(found, per_class)
    refuse_lost(lost)


def _print(found: Evaluation, per_class: bool) -> None:
    print(found)
    if per_class:
        for split, counted in found.confusion.items():
            print(f"\n{split}, by class:\n{counted.table()}")


def _confusion_csv(found: Evaluation) -> bytes:
    """Return the confusion of all splits: a row for each class of the images, a column for each class answered."""
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text)
    classes = [spreadsheet_text(name) for name in found.run.classes]
    rows.writerow(["split", "label", *classes])
    for split, counted in found.confusion.items():
        rows.writerows([split, name, *counts] for name, counts in zip(classes, counted.counts.tolist(), strict=True))
    return text.getvalue().encode("utf-8", "surrogateescape")
