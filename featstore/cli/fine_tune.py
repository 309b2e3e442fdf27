"""`featstore fine-tune`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import command_line, list_skipped, print_json, say, warn
from featstore.cli.fields import Fields, takes_fields
from featstore.cli.units import parse_bytes, parse_rate
from featstore.datasets.options import DataOptions
from featstore.errors import UsageError
from featstore.finetuning.settings import FineTuneOptions, FineTuneSettings
from featstore.system.progress import displayed

if TYPE_CHECKING:
    from featstore.finetuning.result import FineTuned


@takes_fields
def command(
    run: options.RunFolder,
    data: options.Data,
    *,
    blocks: Annotated[
        int | None,
        typer.Option(
            "--blocks", min=1, help="Number of blocks to unfreeze, from the top. Default: 1.", show_default=False
        ),
    ] = None,
    unfreeze: Annotated[
        str | None, typer.Option("--unfreeze", help="Unfreeze from the first layer whose name begins so, as in block5.")
    ] = None,
    unfreeze_from: Annotated[
        str | None, typer.Option("--unfreeze-from", help="Unfreeze from this layer on, as in block5_conv2.")
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Unfreeze all, and train from pixels that are augmented in each epoch. For a GPU."
        ),
    ] = False,
    settings: Annotated[
        FineTuneOptions, Fields(FineTuneSettings, leave_out=["rates"], parsers={"memory": parse_bytes})
    ],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    rate_of: Annotated[
        list[Any],
        typer.Option(
            "--rate-of",
            metavar="NAME=RATE",
            parser=parse_rate,
            help="A rate for the layers whose names begin so, or for the head, as in head=1e-3. Repeatable.",
            show_default=False,
        ),
    ] = [],
    views: Annotated[
        str | None,
        typer.Option("--views", help="augment:K feeds K random versions of each training image. Default: as the run."),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            help="Ranges of the random versions, as for train-head; with --whole also none.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="File of the base's weights, if it was moved.", show_default=False)
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the new run. Default: that of RUN.", show_default=False)
    ] = None,
    name: options.Name = None,
    tensorboard: options.TensorBoard = None,
    cache: options.RunCache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.QuietRun = False,
) -> None:
    """Unfreeze the top of a run's base and train it together with its head, from cached inputs of that top.

    Example: featstore fine-tune runs/photos-MobileNetV2-tf-224-logistic photos --rate 1e-3
    """
    from featstore.datasets.sources import Source
    from featstore.finetuning.cut_choice import CutChoice
    from featstore.finetuning.job import fine_tune_run
    from featstore.runs.files import load_run

    settings["rates"] = _unique(rate_of)
    with displayed(not quiet) as progress:
        tuned = fine_tune_run(
            load_run(run),
            Source(data, data_options, cache),
            CutChoice(blocks=blocks, prefix=unfreeze, layer=unfreeze_from, whole=whole),
            FineTuneSettings(**settings),
            views=views,
            augment=augment,
            weights=weights,
            cache=options.chosen_cache(cache, rehash),
            runs=runs,
            name=name,
            tensorboard=tensorboard,
            command=command_line(),
            progress=progress,
        )
    warn(tuned.notes, progress)
    if json:
        print_json(_describe(tuned))
        return
    list_skipped(tuned.skipped)
    say(str(tuned.run.folder)) if quiet else print(tuned)


def _describe(tuned: FineTuned) -> dict[str, Any]:
    from featstore.evaluation.metrics import describe_splits

    return {
        "run": str(tuned.run.folder),
        "head_run": str(tuned.head_run.folder),
        "cut": tuned.cut,
        "trainable_layers": list(tuned.trainable_layers),
        "metrics_before": describe_splits(tuned.metrics_before),
        "metrics_after": describe_splits(tuned.metrics_after),
        "chosen": tuned.run.chosen,
        "hand_over": asdict(tuned.fine_tuning.hand_over),
        "difference": tuned.difference,
        "verdict": tuned.verdict,
        "recommended": str(tuned.recommended.folder),
        "seconds": tuned.run.seconds,
        "notes": list(tuned.notes),
        "remarks": list(tuned.run.remarks),
        "data": tuned.data.describe(),
        "skipped": [item._asdict() for item in tuned.skipped],
    }


def _unique(pairs: list[tuple[str, float]]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for name, rate in pairs:
        if name in rates:
            raise UsageError(f"--rate-of {name}={rate:g}: {name} is given twice")
        rates[name] = rate
    return rates
