"""A recipe: the options of features as a user writes them. Resolved, it becomes a FeatureSpec.

These options are defined here only. The command line takes its options from the fields, their types, defaults and help;
tests compare the typed dictionaries below and `Bottleneck` with them. The module is light (no numpy, and bases load
with the first use of one), because the command line imports it for every command.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar

from featstore.images.preprocessing import parse_variant
from featstore.images.reading import Fit, Interpolation, ReadingName
from featstore.images.views import parse_views
from featstore.spec import LAST_ACTIVATION, Dtype, Pool
from featstore.system.fields import Seed, check_fields

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
        weights: imagenet, random, or a file .h5, .hdf5, .weights.h5, .keras. Default: what the base was published with.
        alpha: Width multiplier of MobileNet, V2 and V3.
        preprocess: keras (what the base was trained with), caffe, torch, tf, rescale, rgb-mean, raw, or numbers:
            order=bgr,scale=1,mean=104:117:124,std=1.
        size: Input side in px, or HxW. Default: the base's own.
        fit: How an image becomes that size: squash, crop (shorter side, then centre) or pad. Default: squash; crop
            where `views` or `resize` take crops of a larger image.
        interpolation: How pixels are interpolated when an image is resized.
        reading: pillow (antialiased, EXIF applied), or keras-compat (as Keras data sets read).
        layer: Layer whose activation is kept.
        pool: How the activation is pooled over the image; none keeps the whole map. Default: avg; none for pixels and
            the head vgg-fc.
        dtype: How rows are stored.
        views: one, flip, five, ten (crops and mirror images), or augment:K for training images.
        resize: Size that crops are taken from, a side or HxW. Default with crops: size / 0.875.
        scales: Further sizes that each image is seen at, as in 256,384,480.
        augment: With `views` augment:K, any of crop,mirror,rotation,shear,zoom,brightness,seed. Default:
            mirror=1,shear=11.5,zoom=0.2.
        weights_seed: Seed of random weights.
    """

    model: str
    weights: str | None = None
    alpha: float | None = None
    preprocess: str = "keras"
    size: str | int | None = None
    fit: Fit | None = None
    interpolation: Interpolation = "bilinear"
    reading: ReadingName = "pillow"
    layer: str = LAST_ACTIVATION
    pool: Pool | None = None
    dtype: Dtype = "float16"
    views: str = "one"
    resize: str | int | None = None
    scales: str | None = None
    augment: str | None = None
    weights_seed: Seed = 0
    top: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def source(self) -> BaseSource:
        """Return the source of the base; raises UsageError or BaseUnavailable."""
        from featstore.bases.source import parse_source

        return parse_source(self.model, self.weights, self.alpha, self.weights_seed, self.top)

    def at_absolute_paths(self) -> Recipe:
        """Return the recipe with an absolute path of the file that it names, if any, for use from another folder."""
        if self._names_file():
            return replace(self, model=os.path.abspath(self.model))
        if self.weights is None or self.weights in ("imagenet", "random"):
            return self
        return replace(self, weights=os.path.abspath(self.weights))

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
    def has_several_views(self) -> bool:
        """Whether predictions see several views of an image; augmented versions are for training alone."""
        return bool(self.scales) or parse_views(self.views)[0] != "one"

    def describe(self) -> dict[str, Any]:
        """Return the options as plain JSON values; `Recipe(**recipe.describe())` is the recipe again."""
        return asdict(self)

    def _names_file(self) -> bool:
        from featstore.bases.source import MODEL_ENDINGS

        return self.model.endswith(MODEL_ENDINGS)


class GridOptions(TypedDict, total=False):
    """The fields of a `Recipe` as keyword arguments; six of them take several values, as `make_recipes` says."""

    model: OneOrMore[str]
    weights: OneOrMore[str | None]
    alpha: OneOrMore[float | None]
    preprocess: OneOrMore[str]
    size: OneOrMore[str | int | None]
    views: OneOrMore[str]
    fit: Fit | None
    interpolation: Interpolation
    reading: ReadingName
    layer: str
    pool: Pool | None
    dtype: Dtype
    resize: str | int | None
    scales: str | None
    augment: str | None
    weights_seed: int
    top: bool
