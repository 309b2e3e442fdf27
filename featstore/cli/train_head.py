"""`featstore train-head`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import image_progress, list_skipped, note, print_json, print_table, say, step_progress

if TYPE_CHECKING:
    from featstore.runs.run import Run


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
    with image_progress(not quiet) as progress, step_progress(head, not quiet) as on_step:
        trained = train(
            data,
            [Recipe(**base, **common) for base in chosen],
            HeadRecipe(head=head, parameters=parse_settings(settings), seed=seed, train_on=train_on, average=average),
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            cache=cache,
            runs=runs,
            progress=progress,
            on_step=on_step,
        )
    for text in trained.notes:
        note(f"warning: {text}")
    if json:
        print_json(describe(trained.run))
        return
    list_skipped(trained.manifest.skipped)
    if not quiet:
        print_run(trained.run)


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


def describe(run: Run) -> dict[str, Any]:
    """As `--json` prints a run."""
    return {
        "run": str(run.folder),
        "head": run.head,
        "key": run.key,
        "classes": list(run.classes),
        "metrics": run.metrics,
        "seconds": run.seconds,
    }


def print_run(run: Run) -> None:
    """A line per split, and where the run is."""
    if views := explain_views(run):
        say(views)
    print_metrics(run.metrics)
    chosen = ", ".join(f"{key} {value:g}" for key, value in run.chosen.items())
    say(f"{run.head} ({chosen}): features {run.seconds['features']:.1f} s, fit {run.seconds['fit']:.1f} s")
    say(f"saved in {run.folder}")


def print_metrics(metrics: dict[str, dict[str, Any]]) -> None:
    """A line per split."""
    rows = []
    for split, m in metrics.items():
        low, high = m["accuracy_ci95"]
        top5 = [f"{m['top5']:.3f}"] if "top5" in m else []
        rows.append(
            [split, str(m["n"]), f"{m['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", *top5, f"{m['log_loss']:.3f}"]
        )
    has_top5 = any("top5" in m for m in metrics.values())
    print_table(["split", "n", "accuracy", "95 % interval", *(["top-5"] if has_top5 else []), "log loss"], rows)


def explain_views(run: Run) -> str:
    """Which mode is in force, where an image has more rows than one."""
    recipe = run.recipes[0]
    versions = recipe.views.partition("augment:")[2]
    if versions:
        return (
            f"augmented: trained on the plain view and {versions} random versions of each training image; "
            "validation and test on the plain view"
        )
    if recipe.views == "one" and not recipe.scales:
        return ""
    seen = {"one": "one view", "flip": "2 views", "five": "5 views", "ten": "10 views"}[recipe.views]
    sizes = f" at {1 + len(recipe.scales.split(','))} sizes" if recipe.scales else ""
    trained = "every view" if run.train_on == "all" else "the plain view"
    return f"views: trained on {trained}; answers average the {run.average} of {seen}{sizes}"
