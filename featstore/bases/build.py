"""Building a base with its weights, and the digest that identifies these weights."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from featstore.bases.catalog import TINY
from featstore.bases.defaults import keras_defaults
from featstore.bases.file_kinds import ARCHIVE_ENDING, check_hdf5
from featstore.bases.held import HeldBase, hold_base, release_base
from featstore.bases.keras_errors import refuse_locks, summary_of
from featstore.bases.keras_file import refuse_code
from featstore.bases.loadable import identify, make_loadable
from featstore.bases.misfit import explain_misfit
from featstore.bases.source import BaseSource
from featstore.bases.tiny import build_tiny, load_tiny_weights
from featstore.bases.user_network import check_probabilities, load_user_network
from featstore.bases.weights_file import (
    MOST_LAYERS_OF_TOP,
    drop_layers,
    is_numbered,
    numbered_layers,
    of_theano,
)
from featstore.errors import BaseUnavailable, param
from featstore.images.preprocessing import NAMED
from featstore.system.files import FileStat
from featstore.system.private_copy import hash_file, private_copy


def load_base(source: BaseSource, height: int, width: int, pool: str = "none", state: FileStat | None = None) -> Any:
    """Return the base as a Keras model for RGB input (height, width, 3).

    The model is shared between callers, so its weights must not change. It has no classifier unless `source.top`.

    pool: passed to Keras for the bases that pool before their last normalization (ConvNeXt); others ignore it.
    state: state of the weights file; a changed file is loaded again.

    Raises:
        BaseUnavailable: The weights are missing or do not fit.
    """
    return load_held(source, height, width, pool, state).model


def load_held(
    source: BaseSource, height: int, width: int, pool: str, state: FileStat | None, digest: str | None = None
) -> HeldBase:
    """Return the base with the functions compiled from it; arguments and errors are those of `load_base`.

    digest: of the weights, from a spec. Raises BaseUnavailable if others were loaded.
    """
    identity = source, height, width, pool, state
    base = hold_base(identity, lambda: build_new(source, height, width, pool))
    if digest is None and base.file is not None and _digest_of_file(source, height, width) != base.file.digest:
        release_base(identity)  # it was changed without a new time stamp
        base = hold_base(identity, lambda: build_new(source, height, width, pool))
    as_asked = state is None or base.file is None or base.file.state == state  # else another file was opened
    if as_asked and digest in (None, base.digest):
        return base
    release_base(identity)  # the next call looks at the file again
    if digest in (None, base.digest):
        path = source.weights_file(height, width)
        raise BaseUnavailable(f"{path}: was changed meanwhile; run the same command again")
    raise BaseUnavailable(
        f"the weights of {source.model} are not those that made these features: expected {digest[:12]}, found "
        f"{base.digest[:12]}; if the file was changed meanwhile, run the same command again with "
        f"{param('rehash')}, else give the right one as {param('weights')}"
    )


def build_new(source: BaseSource, height: int, width: int, pool: str = "none") -> HeldBase:
    """Return the base as a new model that nothing else uses; arguments and errors are those of `load_base`."""
    path = source.weights_file(height, width)
    if path is None:
        model = _build(source, height, width, pool)
        return HeldBase(model, weights_digest(model))
    if source.weights == "imagenet":  # Keras downloads and reads the file by itself
        return _build_published(source, height, width, pool, path)
    try:
        with private_copy(path) as (copy, found):
            if source.is_file:
                refuse_code(copy)
                digest = identify(copy, found.digest)
                make_loadable(copy)
                with keras_defaults():
                    model = load_user_network(copy)
                    if source.top:
                        check_probabilities(model, copy, height, width)
                return HeldBase(model, digest, found)
            model = _build(source, height, width, pool, copy)
            return HeldBase(model, weights_digest(model), found)
    except OSError as error:
        raise BaseUnavailable(f"{path}: weights cannot be opened: {error.strerror or error}") from error


def _digest_of_file(source: BaseSource, height: int, width: int) -> str | None:
    """Return the SHA-256 (hex) of the weights file as it is now; None if it is gone."""
    path = source.weights_file(height, width)
    try:
        return hash_file(path).digest if path else None
    except OSError:
        return None


def _build_published(source: BaseSource, height: int, width: int, pool: str, path: Path) -> HeldBase:
    """Return the base with the weights that Keras keeps at `path`, or downloads to there.

    Keras passes over a folder that it may not write to, even if the file is there, and downloads it to another.
    """
    if path.exists() and not os.access(path.parent.parent, os.W_OK):
        return build_new(replace(source, weights=str(path)), height, width, pool)
    before = hash_file(path) if path.exists() else None
    model = _build(source, height, width, pool)
    after = hash_file(path) if path.exists() else None
    return HeldBase(model, weights_digest(model), after if after == before else None)


def _build(source: BaseSource, height: int, width: int, pool: str, weights: Path | None = None) -> Any:
    """Return the network of the catalogue; `weights` is the file to load into it, if Keras does not find it itself."""
    with keras_defaults(source.seed):
        is_tiny = source.model == TINY.name
        model = _build_tiny(source, height, width) if is_tiny else _build_application(source, height, width, pool)
    if source.weights == "shipped":
        assert weights is not None
        load_tiny_weights(model, weights)
    elif weights is not None:
        _load_weights(model, weights, source)
        if source.info is not None and source.info.module == "efficientnet":
            _scale_as_published(model)
    return model


def weights_digest(model: Any) -> str:
    """Return the SHA-256 (hex) over the (place, dtype, shape, bytes) of each weight.

    The place in the model stands for the path. Names are not used: those of layers, and in ConvNeXt of weights, may be
    automatic ones that change between builds.
    """
    digest = hashlib.sha256()
    for place, weight in enumerate(model.weights):
        value = np.ascontiguousarray(weight)
        digest.update(f"{place}:{value.dtype.str}{value.shape};".encode())
        digest.update(value.data)
    return digest.hexdigest()


def _build_tiny(source: BaseSource, height: int, width: int) -> Any:
    return build_tiny((height, width, 3))


def _build_application(source: BaseSource, height: int, width: int, pool: str) -> Any:
    info = source.info
    assert info is not None
    options: dict[str, Any] = {"alpha": source.alpha} if info.takes_alpha else {}
    if not info.map_pools and pool != "none":
        options["pooling"] = pool
    wanted = source.weights_file(height, width)
    try:
        with _tidy_download(wanted if source.weights == "imagenet" else None):
            # Neither `name` nor an int alpha may be passed: Keras derives file names and choices from them.
            return getattr(keras.applications, info.name)(
                include_top=source.top,
                weights="imagenet" if source.weights == "imagenet" else None,
                input_shape=(height, width, 3),
                **options,
            )
    except Exception as error:  # Keras raises a bare Exception if a download fails, and others for damaged files
        if source.weights != "imagenet" or wanted is None:
            raise BaseUnavailable(
                f"{source.model} cannot be built for {height}x{width} px: {summary_of(error)}"
            ) from error
        if wanted.exists():
            refuse_locks(wanted, error)
            try:
                check_hdf5(wanted)
            except BaseUnavailable as reason:
                raise BaseUnavailable(f"{reason}; delete it, and Keras downloads it again") from error
            raise BaseUnavailable(
                f"{wanted}: cannot be loaded into {source.model}, perhaps an incomplete download "
                f"({summary_of(error)}); delete it and try again"
            ) from error
        raise BaseUnavailable(
            f"the ImageNet weights of {source.model} could not be downloaded ({summary_of(error)}); download "
            f"{wanted.name} on a machine with a network and put it into {wanted.parent}, or give its path as "
            f"{param('weights')}"
        ) from error


@contextmanager
def _tidy_download(target: Path | None) -> Iterator[None]:
    """Send Keras' reports to standard error, and remove `target` if its download is interrupted.

    Keras itself removes a partial file after Ctrl-C, but not after SIGTERM, and would use it as a complete one next
    time. Its warning that weights of 224 px are used for other sizes is hidden: the catalogue knows that.
    """
    was_there = target is not None and target.exists()
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*Weights for input shape")
            yield
    except Exception:
        raise
    except BaseException:
        if target is not None and not was_there:
            target.unlink(missing_ok=True)
        raise


def _load_weights(model: Any, path: Path, source: BaseSource) -> None:
    """Load weights by position from a file of the older layout, by structure from one of Keras 3, whatever its name.

    No weight of the network is left out silently, and `path` is a private copy. A file with the classifier also fills a
    network without it: its additional weights are harmless.
    """
    if of_theano(path):
        raise BaseUnavailable(
            f"{path}: its kernels are Theano's, which are mirrored: expected a file with tf_kernels in its name"
        )
    file = _under_name_of_layout(path, numbered := is_numbered(path))
    if numbered and not source.top:
        _drop_classifier(file, sum(bool(layer.weights) for layer in model.layers))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what it skips: a more helpful error follows
            model.load_weights(file)
    except Exception as error:  # h5py, zipfile and Keras each raise their own
        refuse_locks(path, error)
        why = explain_misfit(file, source, model.input_shape[1:3])
        raise BaseUnavailable(f"{path}: these weights do not fit {why} ({summary_of(error)})") from error


def _under_name_of_layout(path: Path, numbered: bool) -> Path:
    """Give the private copy at `path` a name that tells Keras its layout, and return it."""
    if path.suffix == ARCHIVE_ENDING or numbered != path.name.endswith(".weights.h5"):
        return path
    return path.rename(path.with_name("numbered.h5" if numbered else "structure.weights.h5"))


def _drop_classifier(path: Path, layers: int) -> None:
    """Take the classifier out of a file with more `layers` than the network, if it has no more than a classifier has.

    What remains still has to agree with the network in every shape, or Keras does not load it.
    """
    surplus = numbered_layers(path)[layers:]
    if 0 < len(surplus) <= MOST_LAYERS_OF_TOP:
        drop_layers(path, surplus)


def _scale_as_published(model: Any) -> None:
    """Give EfficientNet B0 to B7 the input scaling that Keras adds for weights="imagenet" only.

    The published networks divide by the variance where the layer divides by its root, so Keras appends a Rescaling by
    1 / sqrt(std). For the same weights from a file it does not, and every feature would be wrong. Multiplying the
    layer's variance by std is the same map. Weights in files derive from the published ones.
    """
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_variance.assign(np.asarray(layer.adapt_variance) * np.asarray(NAMED["torch"].std, "float32"))
    layer.finalize_state()
