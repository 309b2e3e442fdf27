"""A recipe: the features that a user asks for, in the user's words; resolved, it is a FeatureSpec."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.bases.catalog import PIXELS
from featstore.bases.source import MODEL_ENDING, BaseSource, parse_source
from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import FileStat
from featstore.errors import BaseUnavailable, UsageError
from featstore.images.preprocessing import parse_variant
from featstore.images.reading import Reading, parse_size
from featstore.images.views import CANVAS, parse_views
from featstore.spec import LAST_ACTIVATION, FeatureSpec
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NO_FILE = FileStat(0, 0, 0, 0)


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


def resolve(recipe: Recipe, memory: DigestMemory) -> FeatureSpec:
    """The FeatureSpec of `recipe` at its own size, of whole images or of crops.

    TensorFlow loads only if the digest of the weights is not in `memory` yet.
    """
    source = recipe.source()
    trained_with = source.info.preprocessing if source.info else None
    _, preprocessing = parse_variant(recipe.preprocess, trained_with)
    reading = _reading(recipe, source)
    source.check_size(reading.height, reading.width)
    if source.is_pixels and (recipe.layer, recipe.pool or "none") != (LAST_ACTIVATION, "none"):
        raise UsageError("--model pixels: has no layers and nothing to pool; leave --layer and --pool out")
    return FeatureSpec(
        model=source.name,
        weights=_weights_digest(source, reading.height, reading.width, memory),
        alpha=source.alpha,
        reading=reading,
        preprocessing=preprocessing,
        layer=recipe.layer,
        pool=recipe.pool or ("none" if source.is_pixels or recipe.top else "avg"),
        dtype=recipe.dtype,
    )


def _reading(recipe: Recipe, source: BaseSource) -> Reading:
    height, width = parse_size(str(recipe.size)) if recipe.size is not None else source.default_size()
    crops, _ = parse_views(recipe.views)
    resize = None
    if recipe.resize is not None:
        resize = parse_size(str(recipe.resize))
    elif crops != "one":
        resize = round(height / CANVAS), round(width / CANVAS)
    fit = recipe.fit or ("crop" if resize else "squash")
    return Reading(height, width, recipe.reading, fit, recipe.interpolation, resize)


def make_encoder(source: BaseSource, spec: FeatureSpec) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """The base as a function of images; TensorFlow and the weights load when it is first called, if there are any."""
    if source.is_pixels:
        return spec.preprocessing.apply
    networks: list[Callable[[NDArray[Any]], NDArray[np.float32]]] = []

    def encode(images: NDArray[Any]) -> NDArray[np.float32]:
        if not networks:
            if source.is_file and file_digest(Path(source.model)) != spec.weights:
                raise BaseUnavailable(f"{source.model}: was changed just now; run the same command again")
            load_tensorflow()
            from featstore.bases.network import load_network

            state = weights_state(source, spec.reading.height, spec.reading.width)
            networks.append(load_network(source, spec, state))
        return networks[0](images)

    return encode


def weights_state(source: BaseSource, height: int, width: int) -> FileStat | None:
    """The state of the file that holds the weights; None for random ones, and for a file still to be downloaded."""
    path = source.weights_file(height, width)
    if path is None or (source.weights == "imagenet" and not path.exists()):
        return None
    try:
        info = os.stat(path)
    except OSError as error:
        raise BaseUnavailable(f"{path}: weights cannot be opened: {error.strerror}") from error
    return FileStat(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_digest(source: BaseSource, height: int, width: int, memory: DigestMemory) -> str:
    """The digest for a spec: over the arrays in the network, or over the bytes of a user's `.keras` file."""
    if source.is_pixels:
        return hashlib.sha256(b"pixels").hexdigest()
    path = source.weights_file(height, width)
    state = weights_state(source, height, width)
    remembered_as = f"{path or '/random'}#{source.identity()}"
    digest = memory.get(remembered_as, state or _NO_FILE) if state or path is None else None
    if digest is None:
        digest = _compute_weights_digest(source, height, width, state)
        state = weights_state(source, height, width)
        memory.remember(remembered_as, state or _NO_FILE, digest)
    return digest


def _compute_weights_digest(source: BaseSource, height: int, width: int, state: FileStat | None) -> str:
    if source.is_file:
        return file_digest(Path(source.model))
    load_tensorflow()
    from featstore.bases.build import build, weights_digest

    return weights_digest(build(source, height, width, "none", state))
