"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from featstore.extraction.recipe import Recipe

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="DATA/<class>/, or DATA/train/<class>/ with val and test beside it; or a CSV path,label,split,group.",
        show_default=False,
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
MovedWeights = Annotated[
    list[str],
    typer.Option("--weights", help="Where the base's weights are now, if moved; once for each base of the run."),
]
Model = Annotated[
    str,
    typer.Option("--model", help="A base (see `featstore models`), `tiny`, or a .keras file.", show_default=False),
]
VARIANTS_HELP = (
    "keras (what the base was trained with), caffe, torch, tf, rescale, rgb-mean, raw, "
    "or numbers: order=bgr,scale=1,mean=104:117:124,std=1."
)
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="imagenet, random, or a file .h5, .weights.h5, .keras. Default: what the base was published with.",
    ),
]
Alpha = Annotated[float | None, typer.Option("--alpha", help="Width multiplier of MobileNet, V2 and V3.")]
Models = Annotated[
    list[str],
    typer.Option(
        "--model", help="A base (see `featstore models`), `tiny`, or a .keras file. Repeatable.", show_default=False
    ),
]
ManyWeights = Annotated[
    list[str],
    typer.Option(
        "--weights",
        help="imagenet, random, or a file .h5, .weights.h5, .keras; once for all bases, or for each in their order. "
        "Default: what the base was published with.",
        show_default=False,
    ),
]
Alphas = Annotated[
    list[float],
    typer.Option(
        "--alpha",
        help="Width multiplier of MobileNet, V2 and V3; once for all of these, or once for each in their order.",
        show_default=False,
    ),
]
Size = Annotated[str | None, typer.Option("--size", help="Input side in px, or HxW. Default: the base's own.")]
Fit = Annotated[
    str | None,
    typer.Option(
        "--fit",
        help="How an image becomes that size: squash, crop (shorter side, then centre) or pad. Default: squash; crop "
        "where --views or --resize take crops of a larger image.",
        show_default=False,
    ),
]
Views = Annotated[
    str,
    typer.Option("--views", help="one, flip, five, ten (crops and mirror images), or augment:K for training images."),
]
ManyViews = Annotated[list[str], typer.Option("--views", help="one, flip, five, ten, or augment:K. Repeatable.")]
Resize = Annotated[
    str | None,
    typer.Option("--resize", help="Size that crops are taken from, a side or HxW. Default with crops: size / 0.875."),
]
Scales = Annotated[
    str | None, typer.Option("--scales", help="Further sizes that each image is seen at, as in 256,384,480.")
]
Augment = Annotated[
    str | None,
    typer.Option(
        "--augment",
        help="With --views augment:K, any of crop,mirror,rotation,shear,zoom,brightness,seed. "
        "Default: mirror=1,shear=11.5,zoom=0.2.",
    ),
]
Interpolation = Annotated[
    str, typer.Option("--interpolation", help="bilinear, nearest, bicubic, lanczos, box or hamming.")
]
ReadingName = Annotated[
    str,
    typer.Option("--reading", help="pillow (antialiased, EXIF applied), or keras-compat (as Keras data sets read)."),
]
Layer = Annotated[str, typer.Option("--layer", help="Layer whose activation is kept.")]
Pool = Annotated[
    str | None,
    typer.Option(
        "--pool",
        help="avg, max or none (the whole map). Default: avg; none for pixels and the head vgg-fc.",
        show_default=False,
    ),
]
Dtype = Annotated[str, typer.Option("--dtype", help="How rows are stored: float16 or float32.")]
TrainOn = Annotated[
    str | None,
    typer.Option(
        "--train-on", help="With several views: plain (one of them) or all. Default: plain.", show_default=False
    ),
]
Average = Annotated[
    str | None,
    typer.Option(
        "--average",
        help="With several views: probabilities, logits or features are averaged. Default: probabilities.",
        show_default=False,
    ),
]
Variants = Annotated[list[str], typer.Option("--preprocess", help=f"Repeatable. {VARIANTS_HELP}")]
ValFraction = Annotated[float, typer.Option(help="Share taken for validation where there is no such split.")]
TestFraction = Annotated[float, typer.Option(help="Share taken for testing where there are no splits.")]
HeadNames = Annotated[
    list[str], typer.Option("--head", help="logistic, bn-dropout, vgg-fc or scratch-cnn (on the pixels). Repeatable.")
]
HeadName = Annotated[
    str,
    typer.Option(
        "--head",
        help="logistic (scikit-learn), bn-dropout or vgg-fc (Keras; vgg-fc sees the whole map), or scratch-cnn (Keras, "
        "on the pixels themselves).",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder of the features. Default: $FEATSTORE_CACHE, or cache.", show_default=False),
]
Keys = Annotated[
    list[str], typer.Option("--key", help="Only keys that begin so (see `cache ls`). Repeatable.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table; warnings and errors only.")]
LARGEST_SEED = 2**32 - 1  # numpy's limit
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of random weights.")]
HeadSeed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of the head, and of random weights.")]


def recipe_grid(
    bases: list[dict[str, Any]],
    preprocess: list[str],
    sizes: list[str],
    views: list[str],
    common: dict[str, Any],
    scales: str | None,
    augment: str | None,
) -> list[Recipe]:
    """Every base with every variant, size and kind of views; `common` holds the other fields of a Recipe."""
    from itertools import product

    from featstore.extraction.recipe import Recipe

    return [
        Recipe(
            **base,
            **common,
            preprocess=variant,
            size=size,
            views=kind,
            scales=scales,
            augment=augment if kind.startswith("augment") else None,
        )
        for base, size, kind, variant in product(bases, list[str | None](sizes) or [None], views, preprocess)
    ]


def bases(models: list[str], weights: list[str], alphas: list[float]) -> list[dict[str, Any]]:
    """The fields model, weights and alpha of a Recipe, model by model; raises UsageError where they do not pair."""
    from featstore.bases.catalog import BASES
    from featstore.errors import UsageError

    if len(weights) not in (0, len(models)) and weights not in (["imagenet"], ["random"]):
        raise UsageError(f"{len(models)} bases but {len(weights)} --weights: give one for each, in their order")
    scaled = [place for place, model in enumerate(models) if model in BASES and BASES[model].takes_alpha]
    if len(alphas) > 1 and len(alphas) != len(scaled):
        raise UsageError(f"{len(alphas)} --alpha, but {len(scaled)} of the bases take one: give one for each of these")
    # Where no base takes an alpha, the first is given it all the same: the error names those that do.
    alpha_of = dict(zip(scaled or [0], alphas if len(alphas) != 1 else alphas * len(models), strict=False))
    weights_of = weights if len(weights) == len(models) else [*weights, None][:1] * len(models)
    return [
        {"model": model, "weights": weights_of[place], "alpha": alpha_of.get(place)}
        for place, model in enumerate(models)
    ]
