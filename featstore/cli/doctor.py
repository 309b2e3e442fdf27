"""`featstore doctor`"""

from __future__ import annotations

from typing import Annotated

import typer

from featstore.cli import options
from featstore.cli.console import note, print_json


def command(
    network: Annotated[
        bool, typer.Option("--network", help="Try whether the host of Keras' ImageNet weights can be reached (3 s).")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Load every engine, and compute an image with the built-in base.")
    ] = False,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is wrong, on standard error.")] = False,
) -> None:
    """Say what is installed and found on this machine, and what is wrong with it.

    Nothing is stored or sent, and TensorFlow does not load, unless an option asks for it. The exit code is 1 if a
    command would surely fail.

    Example: featstore doctor
    """
    from featstore.api.diagnosing import doctor

    found = doctor(network=network, deep=deep, cache=cache)
    if json:
        print_json(found.describe())
    elif quiet:
        for line in found.problem_lines():
            note(line)
    else:
        print(found)
    if found.fails:
        raise typer.Exit(1)
