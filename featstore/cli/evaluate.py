"""`featstore evaluate`"""

from __future__ import annotations

from typing import Annotated

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.system.progress import displayed


@takes_fields
def command(
    run: options.RunFolder,
    data: options.Data,
    reading: Annotated[DataOptions, Fields(DataOptions)],
    weights: options.MovedWeights = [],
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure a run on labelled images: accuracy with its interval and log loss, split by split.

    Example: featstore evaluate runs/photos-MobileNetV2-tf-224-logistic new-photos
    """
    from featstore.datasets.sources import scan
    from featstore.evaluation.metrics import describe_splits
    from featstore.runs.evaluation import evaluate_run
    from featstore.runs.files import load_run

    manifest = scan(data, reading)
    with displayed(not quiet) as progress:
        found = evaluate_run(
            load_run(run),
            manifest,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    for text in found.notes:
        note(f"warning: {text}")
    if json:
        skipped = [item._asdict() for item in found.skipped]
        metrics = describe_splits(found.metrics)
        print_json(
            {
                "run": str(run),
                "metrics": metrics,
                "unlabelled": found.unlabelled,
                "notes": list(found.notes),
                "skipped": skipped,
            }
        )
        return
    list_skipped(found.skipped)
    if found.unlabelled:
        note(f"images without a label, left out: {found.unlabelled}")
    if not quiet:
        print(found)
