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
    print_json,
    refuse_lost,
    spreadsheet_text,
    warn,
    write_files,
)
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.system.progress import displayed
from featstore.system.text import count

if TYPE_CHECKING:
    from featstore.runs.evaluation import Evaluation


@takes_fields
def command(
    run: options.RunFolder,
    data: options.Data,
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    probes: Annotated[
        list[str],
        typer.Option(
            "--probe",
            help="Also measure what a change of the images costs: greyscale, blur[=per cent of the shorter side], "
            "brightness[=factor], rotate[=degrees], jpeg[=quality]. Repeatable.",
            show_default=False,
        ),
    ] = [],
    wrong: Annotated[
        int, typer.Option("--wrong", min=0, help="Also list so many wrong answers, the most confident first.")
    ] = 0,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            help="Also write path, split, label, answer and probabilities of each image there; - for standard output, "
            "and nothing else there.",
        ),
    ] = None,
    all_metrics: Annotated[
        bool, typer.Option("--all", help="Also print all metrics, with their intervals; --json always has them.")
    ] = False,
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
    """Measure a run on labelled images, split by split; of images without labels, say what it answers.

    Example: featstore evaluate runs/photos-MobileNetV2-tf-224-logistic new-photos --wrong 10 --probe greyscale
    """
    from featstore.datasets.sources import scan
    from featstore.evaluation.metrics import describe_splits
    from featstore.runs.evaluation import evaluate_run
    from featstore.runs.files import load_run
    from featstore.runs.probing import settle_probes

    settle_probes(probes)  # before the data are looked at
    check_output(confusion, "--confusion", json=json)
    check_output(csv, "--csv", json=json)
    manifest = scan(data, data_options, cache)
    with displayed(not quiet) as progress:
        found = evaluate_run(
            load_run(run),
            manifest,
            probes=probes,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    lost = write_files(
        (confusion, "--confusion", lambda: _confusion_csv(found)),
        (csv, "--csv", lambda: found.answers.to_csv(spreadsheet_text)),
    )
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
                "wrong": [answer._asdict() for answer in found.answers.wrong()[:wrong]],
                "probing": found.probing.describe() if found.probing else None,
                "unlabelled": found.unlabelled,
                "unmeasured": found.unmeasured.describe() if found.unmeasured else None,
                "notes": list(found.notes),
                "remarks": list(found.remarks),
                "data": found.data.describe(),
                "skipped": skipped,
            }
        )
    else:
        list_skipped(found.skipped)
        if not (quiet or STANDARD_OUTPUT in (confusion, csv)):
            _print(found, all_metrics, per_class, wrong)
    refuse_lost(lost)


def _print(found: Evaluation, all_metrics: bool, per_class: bool, most_wrong: int) -> None:
    from featstore.evaluation.all_metrics import all_metrics_table
    from featstore.runs.image_answers import wrong_table

    print(found)
    if all_metrics and found.metrics:
        print(f"\nall metrics, with 95 % intervals:\n{all_metrics_table(found.metrics)}")
    if per_class:
        for split, counted in found.confusion.items():
            print(f"\n{split}, by class:\n{counted.table()}")
    if most_wrong and not found.metrics:
        print("\nno wrong answers are listed: no image has a label to tell them by")
    elif most_wrong:
        wrong = found.answers.wrong()
        print(f"\n{_how_many(len(wrong), most_wrong)}")
        if wrong:
            print(wrong_table(wrong[:most_wrong]))


def _how_many(wrong: int, listed: int) -> str:
    if wrong == 0:
        return "no wrong answers"
    which = "the most confident first" if wrong <= listed else f"the {listed:,} most confident"
    return f"{count(wrong, 'wrong answer')}, {which}:"


def _confusion_csv(found: Evaluation) -> bytes:
    """Return the confusion of all splits: a row for each class of the images, a column for each class answered."""
    import io
    from csv import writer

    text = io.StringIO()
    rows = writer(text)
    classes = [spreadsheet_text(name) for name in found.run.classes]
    rows.writerow(["split", "label", *classes])
    for split, counted in found.confusion.items():
        rows.writerows([split, name, *counts] for name, counts in zip(classes, counted.counts.tolist(), strict=True))
    return text.getvalue().encode("utf-8", "surrogateescape")
