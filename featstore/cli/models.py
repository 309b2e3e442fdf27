"""`featstore models`"""

from __future__ import annotations

from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import flag, print_json, print_table
from featstore.cli.fields import Fields, chosen, takes_fields
from featstore.errors import UsageError
from featstore.extraction.recipe import GridOptions, Recipe


@takes_fields
def command(
    benchmark: Annotated[
        list[str],
        typer.Option(
            "--benchmark",
            metavar="NAME",
            help="Measure this base here: images per second on each engine. Repeatable. Weights are random, unless "
            "others are given.",
            show_default=False,
        ),
    ] = [],
    recipe: Annotated[GridOptions, Fields(Recipe, only=["weights", "alpha", "size"])] = {},
    precision: Annotated[
        list[str],
        typer.Option(
            "--precision",
            help="Measure in float32, bfloat16 or float16. Repeatable. Default: all that this machine has.",
            show_default=False,
        ),
    ] = [],
    json: options.Json = False,
    quiet: options.QuietNames = False,
) -> None:
    """List the bases: input size, feature width, preprocessing, parameters with the top, published ImageNet accuracy.

    Example: featstore models --benchmark MobileNetV2 --benchmark VGG16
    """
    if benchmark:
        _measure(benchmark, recipe, precision, json, quiet)
        return
    for name in (*chosen(Recipe, recipe), *(["precision"] if precision else [])):
        raise UsageError(f"{flag(name, None)}: is for a measurement; give it with --benchmark")
    from dataclasses import asdict

    from featstore.bases.catalog import BASES, BUILT_IN
    from featstore.system.figures import figure

    if json:
        print_json({"models": [asdict(info) for info in (*BUILT_IN.values(), *BASES.values())]})
        return
    if quiet:
        print("\n".join([*BUILT_IN, *BASES]))
        return
    rows = [
        (
            info.name,
            str(info.input_size),
            str(info.width),
            info.preprocessing,
            str(info.min_size),
            f"{figure(info.parameters / 1e6, 1)}M",
            "-" if info.top1 is None else f"{info.top1:.1f}",
            "-" if info.top5 is None else f"{info.top5:.1f}",
        )
        for info in (*BUILT_IN.values(), *BASES.values())
    ]
    print_table(("model", "input", "width", "keras =", "min", "parameters", "top-1", "top-5"), rows)


def _measure(names: list[str], recipe: GridOptions, precisions: list[str], json: bool, quiet: bool) -> None:
    """Measure the bases of these names, and print the table."""
    from featstore.extraction.recipe_grid import make_recipes
    from featstore.extraction.speeds import measure_speeds
    from featstore.system.progress import displayed

    settled = [Recipe(model=names[0], precision=precision).precision for precision in precisions]  # type: ignore[arg-type]
    wanted: GridOptions = {**recipe, "model": names, "weights": recipe.get("weights") or "random"}
    with displayed(not quiet) as progress:
        speeds = measure_speeds(make_recipes(**wanted), settled, None, progress)
    print_json(speeds.describe()) if json else print(speeds)
