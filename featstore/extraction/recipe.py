"""A recipe: the options of features as a user writes them. Resolved, it becomes a FeatureSpec.

These options are defined here only. The command line takes its options from the fields, their types, defaults and help;
tests compare the typed dictionaries below and `Bottleneck` with them. The module is light (no numpy, and bases load
with the first use of one), because the command line imports it for every command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypedDict, TypeVar

from featstore.images.preprocessing import parse_variant, settle_variant
from featstore.images.reading import ALL_BITS, Fit, Interpolation, ReadingName, Size, settle_size
from featstore.images.views import parse_views, settle_views
from featstore.spec import LAST_ACTIVATION, Dtype, Pool, Precision
from featstore.system.fields import Alias, Between, Seed, settle_fields
from featstore.system.paths import OnePath, one_path
from featstore.system.words import plain, spelled_as

if TYPE_CHECKING:
    from featstore.bases.source import BaseSource

T = TypeVar("T")
OneOrMore: TypeAlias = T | Sequence[T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which features to compute: base, weights, preprocessing, input and cut.

    With `top`, the base keeps its ImageNet classifier, and the rows are its probabilities. `check-base` uses this; the
    command line has no option for it.

    Attributes:
        model: A base (see `featstore models`), `tiny`, or a network in a file .keras or .h5.
        weights: imagenet, random, a file .h5, .hdf5, .weights.h5, .keras, or default: what the base was published with.
        alpha: Width multiplier of MobileNet, V2 and V3.
        preprocess: keras (what the base was trained with), caffe, torch, tf, rescale, rgb-mean, raw, or numbers:
            order=bgr,scale=1,mean=104:117:124,std=1.
        size: Input side in px, or height and width, as in 224x320. Default: the base's own.
        fit: How an image becomes that size: squash, crop (shorter side, then centre) or pad. Default: squash; crop
            where `views` or `resize` take crops of a larger image.
        interpolation: How pixels are interpolated when an image is resized.
        reading: pillow (antialiased, EXIF applied), fast (the same with large JPEGs decoded at part of their size), or
            keras-compat (as Keras data sets read).
        bits: How many bits grey images of 16 bits use: 12 where their white is 4095, as in many X-rays.
        layer: Layer whose activation is kept.
        pool: How the activation is pooled over the image; none keeps the whole map. Default: avg; none for pixels and
            the heads vgg-fc and fc-bn.
        dtype: How rows are stored.
        precision: How the base computes: float32, or bfloat16 or float16 where the machine has it. In bfloat16 features
            differ by 1 to 5 %, those of MobileNets by 10 % and more, which heads hardly notice.
        views: one, flip, five, ten (crops and mirror images), or augment:K for training images.
        resize: Size that crops are taken from, a side or HxW. Default with crops: size / 0.875.
        scales: Further sizes that each image is seen at, as in 256,384,480; or none.
        augment: With `views` augment:K, any of crop,mirror,rotation,shear,zoom,brightness,seed. Default:
            mirror=1,shear=11.5,zoom=0.2.
        weights_seed: Seed of random weights.
    """

    model: str
    weights: str | None = None
    alpha: float | None = None
    preprocess: str = "keras"
    size: Size | None = None
    fit: (
        Annotated[
            Fit,
            Alias("stretch", "squash"),
            Alias("center-crop", "crop"),
            Alias("centre-crop", "crop"),
            Alias("letterbox", "pad"),
        ]
        | None
    ) = None
    interpolation: Annotated[
        Interpolation, Alias("linear", "bilinear"), Alias("cubic", "bicubic"), Alias("lanczos3", "lanczos")
    ] = "bilinear"
    reading: Annotated[ReadingName, Alias("PIL", "pillow"), Alias("keras", "keras-compat")] = "pillow"
    bits: Annotated[int, Between(8, ALL_BITS)] = ALL_BITS
    layer: str = LAST_ACTIVATION
    pool: (
        Annotated[
            Pool,
            Alias("average", "avg"),
            Alias("mean", "avg"),
            Alias("maximum", "max"),
            Alias("GlobalAveragePooling2D", "avg"),
            Alias("GlobalMaxPooling2D", "max"),
            Alias("flatten", "none"),
        ]
        | None
    ) = None
    dtype: Annotated[Dtype, Alias("half", "float16"), Alias("fp16", "float16"), Alias("fp32", "float32")] = "float16"
    precision: Annotated[Precision, Alias("bf16", "bfloat16"), Alias("fp16", "float16"), Alias("fp32", "float32")] = (
        "float32"
    )
    views: str = "one"
    resize: Size | None = None
    scales: str | None = None
    augment: str | None = None
    weights_seed: Seed = 0
    top: bool = False

    def __post_init__(self) -> None:
        settle_fields(self)
        for name, settle in _SETTLE.items():
            object.__setattr__(self, name, settle(getattr(self, name)))

    def source(self, *, must_exist: bool = True) -> BaseSource:
        """Return the source of the base; raises UsageError or BaseUnavailable. See `parse_source`."""
        from featstore.bases.source import parse_source

        return parse_source(self.model, self.weights, self.alpha, self.weights_seed, self.top, must_exist=must_exist)

    def path(self) -> str | None:
        """Return the path of the file that the recipe names, with weights or with a network; None if it names none."""
        if self._names_file():
            return self.model
        return self.weights if self.weights not in (None, "", "imagenet", "random") else None

    def with_path(self, change: Callable[[str], str]) -> Recipe:
        """Return the recipe with `change` applied to the path of the file that it names, if any."""
        path = self.path()
        return self if path is None else self.with_weights(change(path))

    def at_absolute_paths(self) -> Recipe:
        """Return the recipe with an absolute path of the file that it names, if any, for use from another folder."""
        return self.with_path(os.path.abspath)

    def with_weights(self, weights: str) -> Recipe:
        """Return the recipe with other weights. A network in a file is base and weights in one."""
        return replace(self, model=weights) if self._names_file() else replace(self, weights=weights)

    def on_pixels(self) -> Recipe:
        """Return the recipe of the same pixels without a base; `keras` becomes the preprocessing of this base."""
        from featstore.bases.catalog import PIXELS

        info = self.source().info
        variant, _ = parse_variant(self.preprocess, info.preprocessing if info else None)
        preprocess = self.preprocess if variant == "custom" else variant
        bare = replace(self, weights=None, alpha=None, weights_seed=0, layer=LAST_ACTIVATION, pool=None)
        return replace(bare, model=PIXELS.name, preprocess=preprocess)

    @property
    def sizes(self) -> int:
        """The number of sizes that each image is seen at, and so of specs."""
        return 1 + len(self.scales.split(",")) if self.scales else 1

    @property
    def has_several_views(self) -> bool:
        """Whether predictions see several views of an image; augmented versions are for training alone."""
        return bool(self.scales) or parse_views(self.views)[0] != "one"

    def describe(self) -> dict[str, Any]:
        """Return the options as plain JSON values; `Recipe(**recipe.describe())` is the recipe again."""
        return asdict(self)

    def _names_file(self) -> bool:
        from featstore.bases.source import MODEL_ENDINGS

        return self.model.endswith(MODEL_ENDINGS)


def _settle_model(model: OnePath) -> str:
    from featstore.bases.catalog import settle_model

    return settle_model(one_path(model, "model"))


_PUBLISHED = ("default", "shipped")  # words for the weights that a base was published with


def settle_weights(weights: OnePath | None) -> str | None:
    """Return weights as they are named here; None for what the base was published with."""
    if weights is None or weights == "":
        return None
    text = one_path(weights, "weights")
    return None if plain(text) in _PUBLISHED else spelled_as(text, ("imagenet", "random")) or text


def _settle_scales(scales: str | Sequence[Any] | None) -> str | None:
    """Return sizes as `256,384`; None where there are none."""
    if scales is None or isinstance(scales, str):
        text = "".join((scales or "").split())
        return None if text.lower() in ("", "none") else text
    return ",".join(str(settle_size(size)) for size in scales)


_SETTLE: dict[str, Callable[[Any], Any]] = {  # fields with an open set of values, and how one value gets one spelling
    "model": _settle_model,
    "weights": settle_weights,
    "preprocess": settle_variant,
    "size": settle_size,
    "views": settle_views,
    "resize": settle_size,
    "scales": _settle_scales,
}


# Fields that a grid takes several values of, each of which meets every other; the last one changes fastest.
AXES = (
    "size",
    "resize",
    "views",
    "scales",
    "fit",
    "interpolation",
    "reading",
    "layer",
    "pool",
    "dtype",
    "precision",
    "preprocess",
)


class CheckOptions(TypedDict, total=False):
    """The fields of a `Recipe` that a check of a base takes as keyword arguments."""

    model: str
    weights: str | None
    alpha: float | None
    size: Size | None
    fit: Fit | None
    interpolation: Interpolation
    bits: int
    resize: Size | None
    scales: str | None
    weights_seed: int


class GridOptions(TypedDict, total=False):
    """The fields of a `Recipe` as keyword arguments; most of them take several values, as `make_recipes` says."""

    model: OneOrMore[str]
    weights: OneOrMore[str | None]
    alpha: OneOrMore[float | None]
    preprocess: OneOrMore[str]
    size: OneOrMore[Size | None]
    fit: OneOrMore[Fit | None]
    interpolation: OneOrMore[Interpolation]
    reading: OneOrMore[ReadingName]
    layer: OneOrMore[str]
    pool: OneOrMore[Pool | None]
    dtype: OneOrMore[Dtype]
    precision: OneOrMore[Precision]
    views: OneOrMore[str]
    resize: OneOrMore[Size | None]
    scales: OneOrMore[str | None]
    bits: int
    augment: str | None
    weights_seed: int
    top: bool
