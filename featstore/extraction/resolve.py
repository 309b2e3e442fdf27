"""Resolving a recipe: options become a FeatureSpec, with the digest of the weights."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from featstore.bases.loadable import identify
from featstore.bases.source import BaseSource
from featstore.datasets.digests import DigestMemory
from featstore.errors import BaseUnavailable, UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.images.preprocessing import canonical_map, parse_variant
from featstore.images.reading import Reading, parse_size
from featstore.images.views import CANVAS, parse_views
from featstore.spec import LAST_ACTIVATION, FeatureSpec
from featstore.system.files import FileStat
from featstore.system.private_copy import FileDigest, hash_file
from featstore.system.stamps import LOCAL_NS
from featstore.system.tensorflow_loader import load_tensorflow

_NO_FILE = FileStat(0, 0, 0, 0)


def resolve_recipe(recipe: Recipe, memory: DigestMemory, weights: str | None = None) -> FeatureSpec:
    """Return the FeatureSpec of `recipe` at its own size, for whole images or crops.

    TensorFlow loads only if the digest of the weights is not in `memory` yet. Where it is known from elsewhere, as
    `weights`, their file need not be there, unless it holds the network too. Raises UsageError for options that do not
    fit the base, BaseUnavailable if the weights cannot be read.
    """
    source = recipe.source(must_exist=weights is None)
    trained_with = source.info.preprocessing if source.info else None
    _, preprocessing = parse_variant(recipe.preprocess, trained_with)
    reading = _reading(recipe, source)
    source.check_size(reading.height, reading.width)
    source.check_input(preprocessing)
    if source.is_pixels and (recipe.layer, recipe.pool or "none") != (LAST_ACTIVATION, "none"):
        raise UsageError(
            f"{param('model', 'pixels')}: has no layers and nothing to pool; leave {param('layer')} and "
            f"{param('pool')} out"
        )
    if source.is_pixels and recipe.precision != "float32":
        raise UsageError(
            f"{param('precision', recipe.precision)}: pixels is not a network and computes nothing; leave "
            f"{param('precision')} out"
        )
    pool = recipe.pool or ("none" if source.is_pixels or recipe.top else "avg")
    source.check_pooling(pool)
    spec = FeatureSpec(
        model=source.name,
        weights=weights or _weights_digest(source, reading.height, reading.width, memory),
        alpha=source.alpha,
        reading=reading,
        preprocessing=preprocessing,
        layer=recipe.layer,
        pool=pool,
        dtype=recipe.dtype,
        precision=recipe.precision,
    )
    return canonical_spec(spec, source)


def canonical_spec(spec: FeatureSpec, source: BaseSource) -> FeatureSpec:
    """Return the spec that stands for all specs of the same computation, so that one computation has one key.

    The last layer is `last`, whether it was named or not, and equal maps of the preprocessing are written alike.
    """
    pools_inside = spec.pool != "none" and not source.pools_maps(LAST_ACTIVATION)
    is_last = spec.layer != LAST_ACTIVATION and not pools_inside and spec.layer == source.last_layer()
    layer = LAST_ACTIVATION if is_last else spec.layer
    return replace(spec, layer=layer, preprocessing=canonical_map(spec.preprocessing))


def _reading(recipe: Recipe, source: BaseSource) -> Reading:
    height, width = parse_size(str(recipe.size)) if recipe.size is not None else source.default_size()
    crops, _ = parse_views(recipe.views)
    resize = None
    if recipe.resize is not None:
        resize = parse_size(str(recipe.resize))
    elif crops != "one":
        resize = round(height / CANVAS), round(width / CANVAS)
    fit = recipe.fit or ("crop" if resize else "squash")
    return Reading(height, width, recipe.reading, fit, recipe.interpolation, resize, bits=recipe.bits)


def weights_state(source: BaseSource, height: int, width: int) -> FileStat | None:
    """Return the state of the weights file; None for random weights, and for a file still to be downloaded.

    Raises BaseUnavailable if the file cannot be opened.
    """
    path = source.weights_file(height, width)
    if path is None or (source.weights == "imagenet" and not path.exists()):
        return None
    try:
        return FileStat.of(os.stat(path))
    except OSError as error:
        raise BaseUnavailable(f"{path}: weights cannot be opened: {error.strerror}") from error


def _weights_digest(source: BaseSource, height: int, width: int, memory: DigestMemory) -> str:
    """Return the digest for a spec: of the arrays in the network, or of the bytes of a user's network."""
    if source.is_pixels:
        return hashlib.sha256(b"pixels").hexdigest()
    path = source.weights_file(height, width)
    state = weights_state(source, height, width)
    remembered_as = f"{path or '/random'}#{source.identity()}"
    digest = memory.get(remembered_as, state or _NO_FILE) if state or path is None else None
    if digest is None:
        found = _compute_weights_digest(source, height, width, state)
        digest = found.digest
        memory.remember(remembered_as, found.state, digest, found.grain)
    return digest


def _compute_weights_digest(source: BaseSource, height: int, width: int, state: FileStat | None) -> FileDigest:
    """Return the digest, with the state of the file that it is of."""
    if source.is_file:
        found = hash_file(Path(source.model))
        return found._replace(digest=identify(Path(source.model), found.digest))
    load_tensorflow()
    from featstore.bases.build import load_held

    base = load_held(source, height, width, "none", state)
    if source.weights == "random":  # drawn from a seed, they never change
        return FileDigest(base.digest, _NO_FILE, LOCAL_NS)
    if base.file is None:
        return FileDigest(base.digest, _NO_FILE, None)
    return base.file._replace(digest=base.digest)
