"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from featstore.recipe import Recipe

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="DATA/<class>/, or DATA/train/<class>/ with val and test beside it; or a CSV path,label,split,group.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", help="A base (see `featstore models`), `tiny`, or a .keras file.", show_default=False),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="imagenet, random, or a file .h5, .weights.h5, .keras. Default: what the base was published with.",
    ),
]
Alpha = Annotated[float | None, typer.Option("--alpha", help="Width multiplier of MobileNet, V2 and V3.")]
Size = Annotated[str | None, typer.Option("--size", help="Input side in px, or HxW. Default: the base's own.")]
Fit = Annotated[str, typer.Option("--fit", help="How an image becomes that size: squash, crop or pad.")]
Interpolation = Annotated[
    str, typer.Option("--interpolation", help="bilinear, nearest, bicubic, lanczos, box or hamming.")
]
ReadingName = Annotated[
    str,
    typer.Option("--reading", help="pillow (antialiased, EXIF applied), or keras-compat (as Keras data sets read)."),
]
Layer = Annotated[str, typer.Option("--layer", help="Layer whose activation is kept.")]
Pool = Annotated[str, typer.Option("--pool", help="avg, max or none (the whole map).")]
Dtype = Annotated[str, typer.Option("--dtype", help="How rows are stored: float16 or float32.")]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder of the features. Default: $FEATSTORE_CACHE, or cache.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table; warnings and errors only.")]
LARGEST_SEED = 2**32 - 1  # numpy's limit
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of random weights.")]
VARIANTS_HELP = (
    "keras (what the base was trained with), caffe, torch, tf, rescale, rgb-mean, raw, "
    "or numbers: order=bgr,scale=1,mean=104:117:124,std=1."
)


def recipes(
    model: str,
    weights: str | None,
    alpha: float | None,
    seed: int,
    preprocess: list[str],
    size: str | None,
    fit: str,
    interpolation: str,
    reading: str,
    layer: str,
    pool: str,
    dtype: str,
) -> list[Recipe]:
    """One recipe per preprocessing variant."""
    from featstore.recipe import Recipe

    return [
        Recipe(
            model=model,
            weights=weights,
            alpha=alpha,
            weights_seed=seed,
            preprocess=variant,
            size=size,
            fit=fit,
            interpolation=interpolation,
            reading=reading,
            layer=layer,
            pool=pool,
            dtype=dtype,
        )
        for variant in preprocess
    ]
