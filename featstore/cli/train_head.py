"""`featstore train-head`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json
from featstore.cli.show import describe
from featstore.system.progress import displayed

if TYPE_CHECKING:
    pass


def command(
    data: options.Data,
    model: options.Models = [],  # noqa: B006 - Typer copies it
    head: options.HeadName = "logistic",
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the head. Repeatable.", show_default=False),
    ] = [],  # noqa: B006 - Typer copies it
    concat: Annotated[
        bool, typer.Option("--concat", help="Put the features of several --model side by side in one head.")
    ] = False,
    weights: options.ManyWeights = [],  # noqa: B006
    alpha: options.Alphas = [],  # noqa: B006
    preprocess: Annotated[str, typer.Option("--preprocess", help=options.VARIANTS_HELP)] = "keras",
    size: options.Size = None,
    fit: options.Fit = None,
    interpolation: options.Interpolation = "bilinear",
    reading: options.ReadingName = "pillow",
    layer: options.Layer = "last",
    pool: options.Pool = None,
    dtype: options.Dtype = "float16",
    views: options.Views = "one",
    resize: options.Resize = None,
    scales: options.Scales = None,
    augment: options.Augment = None,
    train_on: options.TrainOn = None,
    average: options.Average = None,
    val_fraction: options.ValFraction = 0.2,
    test_fraction: options.TestFraction = 0.2,
    seed: options.HeadSeed = 0,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs.")] = Path("runs"),
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a head on cached features; what is missing is extracted first.

    Example: featstore train-head photos --model MobileNetV2 --head bn-dropout --set p=0.6
    """
    from featstore.extraction.recipe import Recipe
    from featstore.heads.registry import parse_settings
    from featstore.training.fit import HeadRecipe
    from featstore.training.job import train

    common: dict[str, Any] = {
        "weights_seed": seed,
        "preprocess": preprocess,
        "size": size,
        "fit": fit,
        "interpolation": interpolation,
        "reading": reading,
        "layer": layer,
        "pool": pool,
        "dtype": dtype,
        "views": views,
        "resize": resize,
        "scales": scales,
        "augment": augment,
    }
    chosen = _bases(model, concat, head, weights, alpha)
    with displayed(not quiet) as progress:
        trained = train(
            data,
            [Recipe(**base, **common) for base in chosen],
            HeadRecipe(head=head, parameters=parse_settings(settings), seed=seed, train_on=train_on, average=average),
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            cache=cache,
            runs=runs,
            progress=progress,
            on_step=progress.steps(head),
        )
    for text in trained.run.notes:
        note(f"warning: {text}")
    if json:
        print_json(describe(trained.run))
        return
    list_skipped(trained.manifest.skipped)
    if not quiet:
        print(trained.run)


def _bases(models: list[str], concat: bool, head: str, weights: list[str], alphas: list[float]) -> list[dict[str, Any]]:
    from featstore.errors import UsageError
    from featstore.heads.registry import HEADS

    if not models:
        base = HEADS[head].base if head in HEADS else None
        if base is None:
            raise UsageError("--model is missing: name a base, as in --model MobileNetV2 (see featstore models)")
        models = [base]
    if concat and len(models) == 1:
        raise UsageError("--concat: puts several bases side by side: give --model more than once")
    if len(models) > 1 and not concat:
        raise UsageError(
            "several --model: add --concat to put their features side by side, or measure them with featstore compare"
        )
    return options.bases(models, weights, alphas)
