"""`featstore audit`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from featstore.cli import options
from featstore.cli.console import (
    STANDARD_OUTPUT,
    check_output,
    note,
    print_json,
    refuse_lost,
    warn,
    write_files,
)
from featstore.cli.fields import Fields, takes_fields
from featstore.comparison.grid import Measurement
from featstore.datasets.options import DataOptions
from featstore.errors import UsageError
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.system.progress import displayed

FAILED = 3  # the exit code if a check of --fail-on has something to say


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[GridOptions, Fields(Recipe, leave_out=["weights_seed"])],
    splits: Annotated[Measurement, Fields(Measurement, only=["seed", "val_fraction", "test_fraction", "val_as_test"])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Also write a row for each finding there; - for standard output, and nothing else."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the audit there as JSON.", show_default=False)
    ] = None,
    fix_split: Annotated[
        Path | None,
        typer.Option(
            "--fix-split",
            help="Also write a table of the images there, with splits in which copies and groups stay on one side. No "
            "file is moved.",
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="NAMES",
            help="End with exit code 3 if one of these checks has something to say, as in leaks,conflicts; alarm and "
            "look stand for all checks that are as serious.",
            show_default=False,
        ),
    ] = None,
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say whether the figures may be believed, and which images to look at: leaks, copies, labels, shortcuts and more.

    Nothing is moved, deleted or relabelled.

    Example: featstore audit photos --model MobileNetV2 --fix-split fixed.csv
    """
    from featstore.auditing.job import audit_data
    from featstore.datasets.sources import Source
    from featstore.extraction.recipe_grid import make_recipes

    failures = _names_in(fail_on)
    files = {"--csv": csv, "--out": out, "--fix-split": fix_split}
    for option, path in files.items():
        check_output(path, option, json=json)
    if (to_output := [option for option, path in files.items() if path == STANDARD_OUTPUT])[1:]:
        raise UsageError(f"{' and '.join(to_output)}: only one of them can be standard output; name a file")
    [chosen] = make_recipes(splits.seed, **recipe)
    with displayed(not quiet) as progress:
        audit = audit_data(
            Source(data, data_options, cache),
            chosen,
            val_fraction=splits.val_fraction,
            test_fraction=splits.test_fraction,
            val_as_test=splits.val_as_test,
            seed=splits.seed,
            cache=options.chosen_cache(cache, rehash),
            progress=progress,
        )
    lost = write_files(
        (csv, "--csv", audit.to_csv),
        (out, "--out", audit.to_json),
        (fix_split, "--fix-split", lambda: audit.to_fixed_split(fix_split or STANDARD_OUTPUT)),
    )
    if json:
        print_json(audit.describe())
    elif quiet or to_output:
        warn([] if audit.is_believable else [audit.summary()], progress)
    else:
        print(audit)
    refuse_lost(lost)
    failing = audit.failing(failures)
    for check in failing:
        note(f"featstore: --fail-on {check.name}: {check.verdict}")
    if failing:
        raise typer.Exit(FAILED)


def _names_in(text: str | None) -> list[str]:
    """Return the names of `--fail-on`; raises UsageError for one that is not known."""
    from featstore.auditing.findings import CheckName

    known = ("alarm", "look", *get_args(CheckName))
    names = [name.strip().lower() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"--fail-on {name}: is not known; use {', '.join(known)}")
    return names
