"""The source of a base: the network and its weights as the user named them, checked without TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from featstore.bases import keras_file
from featstore.bases.catalog import BUILT_IN, PIXELS, TINY, BaseInfo, last_layer, lookup, weights_file_name
from featstore.bases.file_kinds import ARCHIVE_ENDING, HDF5_ENDINGS, foreign_format
from featstore.bases.whereabouts import keras_models
from featstore.errors import BaseUnavailable, UsageError, param
from featstore.images.preprocessing import NAMED, Preprocessing
from featstore.spec import LAST_ACTIVATION, USER_MODEL, Pool

BATCH = 32  # images in one call of a base
MODEL_ENDINGS = (ARCHIVE_ENDING, *HDF5_ENDINGS)  # of networks and of weights
FLATTENING = ("vgg16", "vgg19")  # modules of the bases whose classifier has weights for each position of the map


@dataclass(frozen=True, slots=True)
class BaseSource:
    """A network and its weights as the user named them.

    model: name in the catalogue, `tiny`, `pixels`, or the path of a file with a network, `.keras` or `.h5`.
    weights: `imagenet`, `random`, a path, or `shipped` for `tiny`, `pixels` and a network in a file.
    alpha: width multiplier; None for a base without one.
    seed: seed of random weights.
    top: whether the ImageNet classifier is included, so that outputs are 1000 probabilities.
    """

    model: str
    weights: str
    alpha: float | None = None
    seed: int = 0
    top: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the network is a user's file."""
        return self.model.endswith(MODEL_ENDINGS)

    @property
    def info(self) -> BaseInfo | None:
        """The catalogue's entry; None for a user's file."""
        return None if self.is_file else BUILT_IN.get(self.model) or lookup(self.model)

    @property
    def is_pixels(self) -> bool:
        """Whether the features are the prepared pixels, without a network."""
        return self.model == PIXELS.name

    def last_layer(self) -> str | None:
        """Return the name of the layer whose output is `last`; None if no name stands for it."""
        if self.info is None:
            return keras_file.last_layer(Path(self.model))
        return None if self.top else last_layer(self.info)

    def pools_maps(self, layer: str) -> bool:
        """Return whether pooled features are the pooled outputs of `layer`, so that they follow from kept maps.

        They are not where Keras pools before the last layer.
        """
        return layer != LAST_ACTIVATION or self.info is None or self.info.map_pools

    @property
    def name(self) -> str:
        """The name in a spec; a user's file has a fixed one, so that it may be renamed."""
        return USER_MODEL if self.is_file else self.model

    def default_size(self) -> tuple[int, int]:
        """Return the (height, width) in px to use if the user gives none; raises UsageError for a base of any size."""
        if self.info is not None:
            return self.info.input_size, self.info.input_size
        size = keras_file.input_size(Path(self.model))
        if size is None:
            raise UsageError(f"{self.model} takes images of any size: give one, as in {param('size', 224)}")
        return size

    def check_size(self, height: int, width: int) -> None:
        """Raise UsageError if the size is too small for the base, or not the one that it is fixed to."""
        if self.info is not None and min(height, width) < self.info.min_size:
            raise UsageError(
                f"size {height}x{width} is too small for {self.model}: it needs at least {self.info.min_size} px per "
                f"side; give a larger {param('size')}, to which smaller images are enlarged"
            )
        if self.top and self.info is not None and (height, width) != self.default_size():
            self._check_size_of_top(height, width, self.info)
        fixed = keras_file.input_size(Path(self.model)) if self.is_file else None
        if fixed not in (None, (height, width)):
            raise UsageError(f"{self.model} takes images of {fixed[0]}x{fixed[1]} px, not {height}x{width}")

    @property
    def takes_bytes(self) -> bool:
        """Whether the network takes whole numbers, so that the fractions of scaled pixels would be lost."""
        return self.is_file and "int" in keras_file.input_dtype(Path(self.model))

    def check_input(self, preprocessing: Preprocessing) -> None:
        """Raise UsageError if the network takes whole numbers and those of `preprocessing` are not 0 to 255."""
        if self.takes_bytes and preprocessing.factors()[1:] != NAMED["raw"].factors()[1:]:
            raise UsageError(
                f"{self.model} takes whole numbers ({keras_file.input_dtype(Path(self.model))}): expected "
                f"{param('preprocess', 'raw')}, found a preprocessing that gives others"
            )

    def check_pooling(self, pool: Pool) -> None:
        """Raise UsageError if features would be pooled over the channels."""
        first = keras_file.channels_first(Path(self.model)) if self.is_file and pool != "none" else None
        if first is not None:
            raise UsageError(
                f"{self.model}: expected maps (height, width, channels) to pool, found a layer {first!r} with the "
                f"channels first: use {param('pool', 'none')}"
            )

    def _check_size_of_top(self, height: int, width: int, info: BaseInfo) -> None:
        own = info.input_size
        if info.module in FLATTENING and self.weights != "random":
            raise UsageError(
                f"with its ImageNet classifier, {self.model} takes images of {own}x{own} px only, not "
                f"{height}x{width}: the classifier flattens the map"
            )
        if self.weights == "imagenet":
            raise UsageError(
                f"with its ImageNet classifier, {self.model} is downloaded for {own} px only; for {height}x{width} "
                f"give the file of its weights as {param('weights')}"
            )

    def weights_file(self, height: int, width: int) -> Path | None:
        """Return the file with the weights, which may not exist yet; None for random weights and for `pixels`."""
        if self.weights == "random" or self.is_pixels:
            return None
        if self.is_file:
            return Path(self.model)
        if self.weights == "shipped":
            return Path(__file__).with_name("tiny.h5")
        if self.weights == "imagenet":
            assert self.info is not None
            return keras_models() / weights_file_name(self.info, self.alpha or 1.0, height, width, self.top)
        return Path(self.weights)

    def identity(self) -> str:
        """Return a text that, with the state of the weights file, fixes the values of the weights."""
        text = self.name if self.alpha is None else f"{self.name}-{self.alpha:g}"
        if self.weights == "random":
            from importlib.metadata import version

            text += f"-seed{self.seed}-keras{version('keras')}-tensorflow{version('tensorflow')}"
        if self.weights == "imagenet":  # Keras then adds a layer to EfficientNet, but not for the same file by path
            text += "-imagenet"
        return text + ("-top" if self.top else "")


def parse_source(
    model: str, weights: str | None, alpha: float | None, seed: int, top: bool = False, *, must_exist: bool = True
) -> BaseSource:
    """Return the source that the user's options name.

    must_exist: whether the file that they name is looked at; where all rows are stored, nothing is read from it.

    Raises:
        UsageError: The options contradict each other or the base.
        BaseUnavailable: A file does not exist or cannot be used.
    """
    if reason := None if model in BUILT_IN else foreign_format(model):
        raise UsageError(f"{param('model', model)}: {reason}")
    source = BaseSource(model, weights or "", alpha, seed, top)
    info = source.info
    if alpha is not None and (info is None or not info.takes_alpha):
        raise UsageError(f"{param('alpha', alpha)}: {model} has no width multiplier; MobileNet, V2 and V3 have one")
    if info is not None and info.takes_alpha:
        source = replace(source, alpha=1.0 if alpha is None else float(alpha))
    if top and model in BUILT_IN:
        raise UsageError(f"{model} has no ImageNet classifier")
    if source.is_file:
        return _parse_user_file(source, must_exist)
    if source.is_pixels and weights:
        raise UsageError(
            f"{param('weights', weights)}: pixels is not a network and has no weights; leave {param('weights')} out"
        )
    default = "shipped" if model in BUILT_IN else "imagenet"
    selected = weights or default
    if model == TINY.name and selected == "imagenet":
        raise UsageError(
            f"tiny was not trained on ImageNet: leave {param('weights')} out, or give {param('weights', 'random')}"
        )
    if must_exist and selected not in (default, "random"):
        _check_weights_path(selected)
    return replace(source, weights=selected, seed=seed if selected == "random" else 0)


def _parse_user_file(source: BaseSource, must_exist: bool) -> BaseSource:
    if source.weights:
        raise UsageError(
            f"{param('weights', source.weights)}: {source.model} has its own weights; leave {param('weights')} out"
        )
    if must_exist:
        keras_file.refuse_archive_of_keras_2(Path(source.model))
        keras_file.refuse_code(Path(source.model))
    return BaseSource(source.model, "shipped", top=source.top)


def _check_weights_path(weights: str) -> None:
    if reason := foreign_format(weights):
        raise UsageError(f"{param('weights', weights)}: {reason}")
    if not weights.endswith(MODEL_ENDINGS):
        of_keras = "; what Keras calls None is random" if weights.casefold() == "none" else ""
        raise UsageError(
            f"{param('weights', weights)}: expected imagenet, random, default, or the path of a .h5, .hdf5 or .keras "
            f"file{of_keras}"
        )
    if not os.path.isfile(weights):
        raise BaseUnavailable(f"{param('weights', weights)}: no such file")
    if weights.endswith(ARCHIVE_ENDING):
        keras_file.check_archive(Path(weights))
