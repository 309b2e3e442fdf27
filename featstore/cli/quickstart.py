"""`featstore quickstart`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import command_line, note, print_json, say, warn
from featstore.cli.show import describe
from featstore.heads.registry import HeadName
from featstore.spec import Pool
from featstore.system.progress import displayed

# The heads, and how their features are pooled: the kept map serves the average.
POOL_OF_HEAD: dict[HeadName, Pool] = {"bn-dropout": "none", "logistic": "avg"}


def command(
    folder: Annotated[Path, typer.Option("--folder", help="Where the digits, the cache and the runs go.")] = Path(
        "featstore-quickstart"
    ),
    json: options.Json = False,
    quiet: options.QuietRun = False,
) -> None:
    """Do the whole job on built-in data: 1,797 handwritten digits, the base `tiny`, two heads. It takes under a minute.

    Example: featstore quickstart
    """
    from featstore.datasets.digits import write_digits
    from featstore.extraction.recipe import Recipe
    from featstore.training.head_recipe import HeadRecipe
    from featstore.training.job import train

    data, cache, runs = folder / "digits", folder / "cache", folder / "runs"
    if not quiet:
        note(f"writing 1797 handwritten digits to {data}")
    write_digits(data)
    trained = []
    with displayed(not quiet) as progress:
        for head, pool in POOL_OF_HEAD.items():
            run = train(
                data,
                Recipe(model="tiny", pool=pool),
                HeadRecipe(head=head),
                cache=cache,
                runs=runs,
                command=command_line(),
                progress=progress,
            ).run
            trained.append(run)
            warn(run.notes, progress)
            if quiet and not json:
                say(str(run.folder))
            elif not json:
                print(run)
                print()
    if json:
        print_json({"runs": [describe(run) for run in trained]})
    elif not quiet:
        print("With a folder of your own photos, photos/<class>/*.jpg:")
        print("  featstore train-head photos --model MobileNetV2")
        print("  featstore predict runs/photos-MobileNetV2-tf-224-logistic new-photos/")
