"""`featstore train-head`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import image_progress, list_skipped, note, print_json, print_table, step_progress

if TYPE_CHECKING:
    from featstore.runs import Run


def command(
    data: options.Data,
    model: options.Model,
    head: Annotated[str, typer.Option("--head", help="logistic (scikit-learn) or bn-dropout (Keras).")] = "logistic",
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the head. Repeatable.", show_default=False),
    ] = [],  # noqa: B006 - Typer copies it
    weights: options.Weights = None,
    alpha: options.Alpha = None,
    preprocess: Annotated[str, typer.Option("--preprocess", help=options.VARIANTS_HELP)] = "keras",
    size: options.Size = None,
    fit: options.Fit = "squash",
    interpolation: options.Interpolation = "bilinear",
    reading: options.ReadingName = "pillow",
    layer: options.Layer = "last",
    pool: options.Pool = "avg",
    dtype: options.Dtype = "float16",
    val_fraction: Annotated[float, typer.Option(help="Share taken for validation where there is no such split.")] = 0.2,
    test_fraction: Annotated[float, typer.Option(help="Share taken for testing where there are no splits.")] = 0.2,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=options.LARGEST_SEED, help="Of the head, and of random weights.")
    ] = 0,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs.")] = Path("runs"),
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a head on cached features; what is missing is extracted first.

    Example: featstore train-head photos --model MobileNetV2 --head bn-dropout --set p=0.6
    """
    from featstore.heads.table import parse_settings
    from featstore.training import train

    [recipe] = options.recipes(
        model, weights, alpha, seed, [preprocess], size, fit, interpolation, reading, layer, pool, dtype
    )
    with image_progress(not quiet) as progress, step_progress(head, not quiet) as on_step:
        trained = train(
            data,
            recipe,
            head,
            parse_settings(settings),
            seed=seed,
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


def describe(run: Run) -> dict[str, Any]:
    """As `--json` prints a run."""
    return {
        "run": str(run.folder),
        "head": run.head,
        "key": run.spec.key,
        "classes": list(run.classes),
        "metrics": run.metrics,
        "seconds": run.seconds,
    }


def print_run(run: Run) -> None:
    """A line per split, and where the run is."""
    rows = []
    for split, m in run.metrics.items():
        low, high = m["accuracy_ci95"]
        top5 = [f"{m['top5']:.3f}"] if "top5" in m else []
        rows.append(
            [split, str(m["n"]), f"{m['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", *top5, f"{m['log_loss']:.3f}"]
        )
    has_top5 = any("top5" in m for m in run.metrics.values())
    print_table(["split", "n", "accuracy", "95 % interval", *(["top-5"] if has_top5 else []), "log loss"], rows)
    chosen = ", ".join(f"{key} {value:g}" for key, value in run.chosen.items())
    print(f"{run.head} ({chosen}): features {run.seconds['features']:.1f} s, fit {run.seconds['fit']:.1f} s")
    print(f"saved in {run.folder}")
