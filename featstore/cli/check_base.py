"""`featstore check-base`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, print_json
from featstore.cli.fields import Fields, takes_fields
from featstore.extraction.recipe import Recipe
from featstore.system.progress import displayed

if TYPE_CHECKING:
    from featstore.base_check.labelled import LabelledCheck
    from featstore.base_check.unlabelled import UnlabelledCheck


@takes_fields
def command(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of photos.", show_default=False)],
    recipe: Annotated[
        Recipe,
        Fields(
            Recipe,
            only=["model", "weights", "alpha", "size", "fit", "interpolation", "resize", "weights_seed"],
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="CSV path,label with ImageNet class indices 0 to 999.", show_default=False),
    ] = None,
    preprocess: Annotated[
        list[str], typer.Option("--preprocess", help="Repeatable. Default: all named variants.", show_default=False)
    ] = [],
    views: Annotated[
        list[str],
        typer.Option("--views", help="With --labels: one, flip, five, ten. Repeatable. Default: all four."),
    ] = [],
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check the preprocessing of a base: by ImageNet top-1 and top-5 with labels, by statistics of any photos without.

    Example: featstore check-base photos --model MobileNetV2
    """
    from featstore.base_check.labelled import check_labelled
    from featstore.base_check.unlabelled import check_unlabelled
    from featstore.extraction.recipe_grid import refuse_idle_seed

    refuse_idle_seed([recipe], recipe.weights_seed)
    with displayed(not quiet) as progress:
        if labels is None:
            _refuse(views)
            unlabelled = check_unlabelled(
                data, recipe, preprocess, cache=options.chosen_cache(cache, rehash), progress=progress
            )
            _show_unlabelled(unlabelled, json, quiet)
        else:
            labelled = check_labelled(
                data, labels, recipe, preprocess, views, cache=options.chosen_cache(cache, rehash), progress=progress
            )
            _show_labelled(labelled, json, quiet)


def _refuse(views: list[str]) -> None:
    from featstore.errors import UsageError

    if views:
        raise UsageError(f"--views {views[0]}: needs --labels; without them one view of each photo is used")


def _show_labelled(check: LabelledCheck, json: bool, quiet: bool) -> None:
    if json:
        print_json(
            {
                "rows": [row._asdict() for row in check.rows],
                "verdict": check.verdict,
                "published": dict(zip(("top1", "top5"), check.published, strict=True)),
                "skipped": [item._asdict() for item in check.skipped],
            }
        )
        return
    list_skipped(check.skipped)
    if not quiet:
        print(check)


def _show_unlabelled(check: UnlabelledCheck, json: bool, quiet: bool) -> None:
    if json:
        rows = [row._asdict() for row in check.rows]
        print_json({"rows": rows, "verdict": check.verdict, "skipped": [item._asdict() for item in check.skipped]})
        return
    list_skipped(check.skipped)
    if not quiet:
        print(check)
