"""A recipe: the features that a user asks for, in the user's words; resolved, it is a FeatureSpec."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from featstore.bases.catalog import PIXELS
from featstore.bases.source import MODEL_ENDING, BaseSource, parse_source
from featstore.images.preprocessing import parse_variant
from featstore.spec import LAST_ACTIVATION

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which features: base, weights, preprocessing, input, views and cut, each as on the command line.

    model: name of a base, `tiny`, or path of a `.keras` file. weights: `imagenet`, `random` or a path; None for what
    the base comes with. preprocess: a variant's name or numbers. size: 224, `224` or `224x320` (height x width); None
    for the size that the base was trained with. views: `one`, `flip`, `five`, `ten` or `augment:K`; crops are taken
    from a canvas of side `resize`, by default size / 0.875, and `one` is cropped only where `resize` is given. fit:
    None for `squash`, or `crop` (the shorter side) where crops are taken. scales: further sizes as in `256,384`, at
    which the base sees each image as well. augment: changes to the default `Augmentation`. pool: None for `avg`, or
    `none` with the base `pixels`. top: whether the base has its ImageNet classifier, whose probabilities are the rows.
    """

    model: str
    weights: str | None = None
    alpha: float | None = None
    weights_seed: int = 0
    preprocess: str = "keras"
    size: str | int | None = None
    fit: str | None = None
    interpolation: str = "bilinear"
    reading: str = "pillow"
    layer: str = LAST_ACTIVATION
    pool: str | None = None
    dtype: str = "float16"
    views: str = "one"
    resize: str | int | None = None
    scales: str | None = None
    augment: str | None = None
    top: bool = False

    def source(self) -> BaseSource:
        """Where the base comes from; raises UsageError or BaseUnavailable."""
        return parse_source(self.model, self.weights, self.alpha, self.weights_seed, self.top)

    def at_absolute_paths(self) -> Recipe:
        """The recipe for use from another folder: the file that it names, if any, by its absolute path."""
        if self.model.endswith(MODEL_ENDING):
            return replace(self, model=os.path.abspath(self.model))
        named = self.weights in (None, "imagenet", "random")
        return self if named else replace(self, weights=os.path.abspath(self.weights or ""))

    def with_weights(self, weights: str) -> Recipe:
        """The recipe with its weights from elsewhere; a `.keras` file as the base is base and weights in one."""
        return replace(self, model=weights) if self.model.endswith(MODEL_ENDING) else replace(self, weights=weights)

    def on_pixels(self) -> Recipe:
        """The same preparation of the images with no base at all; `keras` is what this base was trained with."""
        info = self.source().info
        variant, _ = parse_variant(self.preprocess, info.preprocessing if info else None)
        preprocess = self.preprocess if variant == "custom" else variant
        bare = replace(self, weights=None, alpha=None, weights_seed=0, layer=LAST_ACTIVATION, pool=None)
        return replace(bare, model=PIXELS.name, preprocess=preprocess)

    def describe(self) -> dict[str, Any]:
        """The options as plain JSON values; `Recipe(**recipe.describe())` is the recipe again."""
        return asdict(self)
