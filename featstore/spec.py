"""FeatureSpec: everything that can change the value of a feature. Its hash is the key.

`extraction.resolve` makes specs, and writes what computes the same in one way.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from featstore.errors import StoreError, UsageError
from featstore.images.preprocessing import NAMED, Preprocessing, Triple
from featstore.images.probe import Probe
from featstore.images.reading import ALL_BITS, Reading
from featstore.images.views import Augmentation

SPEC_VERSION = 1
Pool = Literal["avg", "max", "none"]
Dtype = Literal["float16", "float32"]
Precision = Literal["float32", "bfloat16", "float16"]
POOLS: tuple[Pool, ...] = get_args(Pool)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LAST_ACTIVATION = "last"
USER_MODEL = "keras-file"


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The definition of a row of features: base, layer, reading, preprocessing and storage.

    Engine, batch size and versions of libraries are not part of it: they change a value by less than 1e-5, or where the
    precision is lower, by no more than that does.

    Attributes:
        model: Name in the catalogue, `tiny`, `pixels`, or `keras-file` for a user's own file, which is identified by
            its weights alone.
        weights: SHA-256 (hex) over the arrays in the network, or over the bytes of a user's `.keras` file.
        reading: How a file becomes an RGB image: size in px, fit, interpolation, and for views resizing, augmentation.
        preprocessing: The map from RGB values in 0..255 to the input of the network.
        alpha: Width multiplier; None for a base without one.
        layer: Name of the layer whose activation is kept, or `last`.
        pool: `avg` or `max` over the positions of the map, so a row is (channels,); `none` keeps the map.
        dtype: Type that rows are stored in, `float16` or `float32`.
        precision: Of the factors of products in the network; sums are float32.

    Raises:
        UsageError: A field has a value that is not possible.
    """

    model: str
    weights: str
    reading: Reading
    preprocessing: Preprocessing
    alpha: float | None = None
    layer: str = LAST_ACTIVATION
    pool: Pool = "avg"
    dtype: Dtype = "float16"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("pool", self.pool, POOLS),
            ("dtype", self.dtype, DTYPES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise UsageError(f"{what} {value!r} is not known: use one of {', '.join(known)}")
        if not (re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.model, re.A) and re.fullmatch("[0-9a-f]{64}", self.weights)):
            raise UsageError(
                f"model {self.model!r} with weights {self.weights!r}: expected a name and a SHA-256 in hex"
            )

    def describe(self) -> dict[str, Any]:
        """Return the spec as plain JSON values."""
        return {
            "spec_version": SPEC_VERSION,
            "model": self.model,
            "alpha": None if self.alpha is None else float(self.alpha),  # 1 and 1.0 are equal, their texts are not
            "weights": self.weights,
            "reading": self.reading.describe(),
            "preprocessing": self.preprocessing.describe(),
            "layer": self.layer,
            "pool": self.pool,
            "dtype": self.dtype,
            "precision": self.precision,
        }

    def to_json(self) -> str:
        """Return canonical JSON: sorted, without white space, ASCII. Equal specs give equal text on every machine."""
        return _canonical(self.describe())

    @classmethod
    def from_json(cls, text: str | bytes) -> FeatureSpec:
        """Return the spec that `to_json` wrote.

        Args:
            text: JSON; its white space and the order of its fields do not matter.

        Returns:
            The spec.

        Raises:
            StoreError: It is not a spec of this version.
        """
        try:
            given = json.loads(text)
            spec = cls._from_dict(given)
            if spec.to_json() != _canonical(given):  # compared as text, since 1, 1.0 and true are equal
                raise ValueError("unknown fields, values or versions")
        except (ValueError, KeyError, TypeError, OverflowError, UsageError, RecursionError) as error:
            raise StoreError(
                f"not a feature spec of version {SPEC_VERSION}: {error}; a newer featstore may read it"
            ) from error
        return spec

    @classmethod
    def _from_dict(cls, given: dict[str, Any]) -> FeatureSpec:
        """Return the spec in `given`, with values of other types converted; `from_json` compares it with the text."""
        preprocessing = given["preprocessing"]
        return cls(
            model=given["model"],
            weights=given["weights"],
            alpha=None if given["alpha"] is None else float(given["alpha"]),
            reading=_reading(given["reading"]),
            preprocessing=Preprocessing(
                preprocessing["order"],
                float(preprocessing["scale"]),
                _triple(preprocessing["mean"]),
                _triple(preprocessing["std"]),
            ),
            layer=str(given["layer"]),
            pool=given["pool"],
            dtype=given["dtype"],
            precision=given["precision"],
        )

    @property
    def key(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def variant(self) -> str:
        """Name of the preprocessing; `custom` if it has none."""
        return next((name for name, map_ in NAMED.items() if map_ == self.preprocessing), "custom")

    @property
    def folder(self) -> str:
        """Folder of its rows in the cache: `<model>/<variant>-<size>-<first 12 digits of the key>`."""
        height, width = self.reading.height, self.reading.width
        size = str(height) if height == width else f"{height}x{width}"
        model = self.model if self.alpha in (None, 1.0) else f"{self.model}-{self.alpha:g}"
        return f"{model}/{self.variant}-{size}-{self.key[:12]}"


def _reading(given: dict[str, Any]) -> Reading:
    height, width = map(int, given["size"])
    resize = augmentation = probe = None
    if "resize" in given:
        rows, columns = map(int, given["resize"])
        resize = rows, columns
    if "augmentation" in given:
        ranges = {name: value for name, value in given["augmentation"].items() if name != "version"}
        augmentation = Augmentation(**ranges)
    bits = int(given.get("bits", ALL_BITS))
    probe = Probe(given["probe"]["name"], given["probe"].get("amount")) if "probe" in given else None
    return Reading(
        height, width, given["name"], given["fit"], given["interpolation"], resize, augmentation, bits, probe
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _triple(values: Any) -> Triple:
    first, second, third = map(float, values)
    return first, second, third
