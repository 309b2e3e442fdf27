"""`featstore fine-tune`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json
from featstore.cli.units import parse_bytes
from featstore.system.progress import displayed

if TYPE_CHECKING:
    from featstore.finetuning.job import FineTuned


def command(
    run: options.RunFolder,
    data: options.Data,
    blocks: Annotated[
        int | None, typer.Option("--blocks", min=1, help="Unfreeze the topmost blocks. Default: 1.", show_default=False)
    ] = None,
    unfreeze: Annotated[
        str | None, typer.Option("--unfreeze", help="Unfreeze from the first layer of this name on, as in block5.")
    ] = None,
    unfreeze_from: Annotated[
        str | None, typer.Option("--unfreeze-from", help="Unfreeze from this layer on, as in block5_conv2.")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Unfreeze all, from pixels, augmented anew in each epoch. For a GPU.")
    ] = False,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="At the most.")] = 20,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help="Epochs without a smaller validation loss before it ends.")
    ] = 5,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images, or views of images, a step.")] = 32,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate.")] = 1e-4,
    rate_of: Annotated[
        list[str],
        typer.Option(
            "--rate-of",
            metavar="NAME=RATE",
            help="Another rate for layers whose names begin so, or for the head, as in head=1e-3. Repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - Typer copies it
    warmup: Annotated[float, typer.Option("--warmup", help="Epochs in which the rate rises from 0.")] = 1.0,
    optimizer: Annotated[str, typer.Option("--optimizer", help="sgd or adam.")] = "sgd",
    momentum: Annotated[
        float | None, typer.Option("--momentum", help="Of sgd. Default: 0.9.", show_default=False)
    ] = None,
    clip: Annotated[float, typer.Option("--clip", help="Longest gradient, as a norm; 0 for any.")] = 1.0,
    train_bn: Annotated[
        bool, typer.Option("--train-bn", help="Train BatchNormalization too; by default it keeps its statistics.")
    ] = False,
    views: Annotated[
        str | None,
        typer.Option("--views", help="augment:K feeds K random versions of each training image. Default: as the run."),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            help="Ranges of random versions, as for train-head; with --whole also none.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="float32, mixed_float16 or mixed_bfloat16 (for a GPU).")
    ] = "float32",
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            help="Cached activations held at a time, as in 512M; more are streamed from the cache. Default: 2G.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Where the base's weights are now, if moved.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=options.LARGEST_SEED, help="Of order and dropout.")] = 0,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the new run. Default: beside RUN.", show_default=False)
    ] = None,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Unfreeze the top of a run's base and train it together with its head, from cached inputs of that top.

    Example: featstore fine-tune runs/photos-MobileNetV2-tf-224-logistic photos --rate 1e-3
    """
    from featstore.finetuning.job import fine_tune
    from featstore.runs.run import load_run

    settings: dict[str, Any] = {
        "epochs": epochs,
        "patience": patience,
        "batch": batch,
        "rate": rate,
        "rates": _rates(rate_of),
        "warmup": warmup,
        "clip": clip,
        "optimizer": optimizer,
        "momentum": momentum,
        "train_bn": train_bn,
        "precision": precision,
        "memory": None if memory is None else parse_bytes("--memory", memory, least=1),
        "seed": seed,
    }
    with displayed(not quiet) as progress:
        tuned = fine_tune(
            load_run(run),
            data,
            blocks=blocks,
            unfreeze=unfreeze,
            unfreeze_from=unfreeze_from,
            whole=whole,
            views=views,
            augment=augment,
            weights=weights,
            cache=cache,
            runs=runs,
            progress=progress,
            on_step=progress.steps("fine-tuning"),
            **settings,
        )
    for text in tuned.notes:
        note(f"warning: {text}")
    if json:
        print_json(_describe(tuned))
        return
    list_skipped(tuned.skipped)
    if not quiet:
        print(tuned)


def _describe(tuned: FineTuned) -> dict[str, Any]:
    from featstore.evaluation.metrics import describe_splits

    return {
        "run": str(tuned.run.folder),
        "head_run": str(tuned.head_run.folder),
        "cut": tuned.cut,
        "trainable_layers": list(tuned.trainable_layers),
        "metrics_before": describe_splits(tuned.metrics_before),
        "metrics_after": describe_splits(tuned.metrics_after),
        "hand_over": asdict(tuned.fine_tuning.hand_over),
        "difference": tuned.difference,
        "verdict": tuned.verdict,
        "recommended": str(tuned.recommended.folder),
        "seconds": tuned.run.seconds,
        "notes": list(tuned.notes),
    }


def _rates(items: list[str]) -> dict[str, float]:
    from featstore.errors import UsageError

    rates: dict[str, float] = {}
    for item in items:
        name, _, value = item.partition("=")
        try:
            rate = float(value)
        except ValueError:
            rate = -1.0
        if not name or rate < 0:
            raise UsageError(f"--rate-of {item}: expected NAME=RATE, as in block5=1e-5 or head=1e-3")
        if name in rates:
            raise UsageError(f"--rate-of {item}: {name} is given twice")
        rates[name] = rate
    return rates
