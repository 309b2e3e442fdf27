"""FeatureSpec: all that can change the value of a feature, and nothing else; its canonical JSON hashes to the key."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from featstore.errors import StoreError, UsageError
from featstore.images.preprocessing import NAMED, Preprocessing, Triple
from featstore.images.reading import Reading
from featstore.images.views import Augmentation

SPEC_VERSION = 1
Pool = Literal["avg", "max", "none"]
Dtype = Literal["float16", "float32"]
POOLS: tuple[Pool, ...] = get_args(Pool)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
LAST_ACTIVATION = "last"
USER_MODEL = "keras-file"


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What a row of features is: base, cut, reading, preprocessing and storage.

    model: a name of the catalogue, `tiny`, or `keras-file` for a user's own, which is identified by its weights alone.
    weights: SHA-256 (hex) over the arrays in the network, or over the bytes of a user's `.keras` file.
    layer: name of the layer whose activation is kept, or `last`.
    Neither batch size nor versions of libraries belong here: they move a value by less than 1e-5.
    """

    model: str
    weights: str
    reading: Reading
    preprocessing: Preprocessing
    alpha: float | None = None
    layer: str = LAST_ACTIVATION
    pool: Pool = "avg"
    dtype: Dtype = "float16"

    def __post_init__(self) -> None:
        for what, value, known in (("pool", self.pool, POOLS), ("dtype", self.dtype, DTYPES)):
            if value not in known:
                raise UsageError(f"{what} {value!r} is not known: use one of {', '.join(known)}")
        if not (re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.model, re.A) and re.fullmatch("[0-9a-f]{64}", self.weights)):
            raise UsageError(
                f"model {self.model!r} with weights {self.weights!r}: expected a name and a SHA-256 in hex"
            )

    def describe(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
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
            "precision": "float32",
        }

    def to_json(self) -> str:
        """Canonical: sorted, no white space, ASCII. Equal specs give equal texts on every machine."""
        return _canonical(self.describe())

    @classmethod
    def from_json(cls, text: str | bytes) -> FeatureSpec:
        """The inverse of `to_json`; raises StoreError for anything that this version would not write."""
        try:
            given = json.loads(text)
            spec = cls._from_dict(given)
            if spec.to_json() != _canonical(given):  # compared as text, since 1, 1.0 and true are equal
                raise ValueError("fields or versions that this featstore does not know")
        except (ValueError, KeyError, TypeError, OverflowError, UsageError, RecursionError) as error:
            raise StoreError(
                f"no feature spec of version {SPEC_VERSION}: {error}; a newer featstore may read it"
            ) from error
        return spec

    @classmethod
    def _from_dict(cls, given: dict[str, Any]) -> FeatureSpec:
        """The nearest thing to a spec in `given`: a value of another type becomes one of the right type."""
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
        )

    @property
    def key(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def variant(self) -> str:
        """The name of the preprocessing, `custom` where it has none."""
        return next((name for name, map_ in NAMED.items() if map_ == self.preprocessing), "custom")

    @property
    def folder(self) -> str:
        """Where its rows live below the cache: `<model>/<variant>-<size>-<key12>`."""
        height, width = self.reading.height, self.reading.width
        size = str(height) if height == width else f"{height}x{width}"
        model = self.model if self.alpha in (None, 1.0) else f"{self.model}-{self.alpha:g}"
        return f"{model}/{self.variant}-{size}-{self.key[:12]}"


def _reading(given: dict[str, Any]) -> Reading:
    height, width = map(int, given["size"])
    resize = augmentation = None
    if "resize" in given:
        rows, columns = map(int, given["resize"])
        resize = rows, columns
    if "augmentation" in given:
        ranges = {name: value for name, value in given["augmentation"].items() if name != "version"}
        augmentation = Augmentation(**ranges)
    return Reading(height, width, given["name"], given["fit"], given["interpolation"], resize, augmentation)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _triple(values: Any) -> Triple:
    first, second, third = map(float, values)
    return first, second, third
