"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli.units import parse_cache, parse_setting
from featstore.objects.urls import Location

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="DATA/<class>/, or DATA/train/<class>/ with DATA/val and DATA/test; or a table of paths and labels, "
        "tars, or arrays (.npz). A path, or a URL (s3://, gs://, az://).",
        show_default=False,
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
MovedWeights = Annotated[
    list[str],
    typer.Option("--weights", help="File of the base's weights, if it was moved. Once for each base of the run."),
]
Settings = Annotated[
    list[Any],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        parser=parse_setting,
        help="A parameter of the head, as in p=0.6 or folds=5; `featstore heads` lists them. Repeatable.",
        show_default=False,
    ),
]
Cache = Annotated[
    Any,  # a Location or None: Typer knows no unions
    typer.Option(
        "--cache",
        parser=parse_cache,
        metavar="PATH",
        help="Folder or URL (s3://, gs://, az://) of the features. Default: $FEATSTORE_CACHE, or cache.",
        show_default=False,
    ),
]
RunCache = Annotated[
    Any,  # a Location or None: Typer knows no unions
    typer.Option(
        "--cache",
        parser=parse_cache,
        metavar="PATH",
        help="Folder or URL of the features. Default: $FEATSTORE_CACHE, or that of the run.",
        show_default=False,
    ),
]
Rehash = Annotated[
    bool,
    typer.Option(
        "--rehash",
        help="Read every image and weights file again, even if its size and times say that it is unchanged.",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="What runs the base: auto (the fastest here that gives the same values), tensorflow or openvino. Default: "
        "$FEATSTORE_ENGINE, or auto.",
        show_default=False,
    ),
]
Keys = Annotated[
    list[str], typer.Option("--key", help="Only keys that begin so (see `cache ls`). Repeatable.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table; warnings and errors only.")]
QuietNames = Annotated[bool, typer.Option("--quiet", help="Names only, one a line.")]
QuietRun = Annotated[
    bool, typer.Option("--quiet", help="No progress, no table: the folder of the run is the only line printed.")
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of the run's folder. Default: made of the settings.", show_default=False),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="Also log the curve and the settings there, for TensorBoard.",
        show_default=False,
    ),
]


def chosen_cache(folder: Location | None, rehash: bool, engine: str | None = None) -> CacheLike:
    """Return what `--cache`, `--rehash` and `--engine` say, as the functions of the package take it."""
    if not (rehash or engine):
        return folder
    from featstore.extraction.cache import Cache

    return Cache(folder, rehash=rehash, engine=engine)
