"""The differences between two feature specs in words: `input size 224 -> 299`, `weights differ`.

It compares the JSON of `spec.json`, not `FeatureSpec`: that class refuses the specs of other versions of the reading
code, and these versions are a common reason why nothing is found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from featstore.bases.catalog import BASES, BUILT_IN
from featstore.images.preprocessing import NAMED
from featstore.images.probe import describe_probe
from featstore.images.reading import ALL_BITS
from featstore.images.views import CANVAS

_Flat = dict[str, Any]

# The words for each field, in the order of the phrases. Any other field is named as in the JSON.
_WORDS = {
    "model": "model",
    "alpha": "width",
    "weights": "weights",
    "reading.name": "reading",
    "reading.version": "version of the reading code",
    "reading.size": "input size",
    "views": "views",
    "reading.resize": "crops' canvas",
    "reading.fit": "fit",
    "reading.interpolation": "interpolation",
    "reading.bits": "bits of grey images",
    "reading.probe": "probe",
    "reading.augmentation.version": "version of the augmentation",
    "preprocessing": "preprocessing",
    "layer": "layer",
    "pool": "pooling",
    "dtype": "dtype",
}
_NESTED = ("reading", "reading.augmentation")
_NUMBERS = ("order", "scale", "mean", "std")
_NAMES = {json.dumps(map_.describe(), sort_keys=True): name for name, map_ in NAMED.items()}


def describe_differences(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a phrase for each difference from `stored` to `requested`, both as `FeatureSpec.describe` returns them.

    What follows from another difference does not count separately: another model has other weights, crops have another
    default fit. Any two JSON objects can be compared. The result is empty only if they are equal.
    """
    old, new = _flatten(stored), _flatten(requested)
    old["views"], new["views"] = _kind_of_views(old), _kind_of_views(new)
    names = dict.fromkeys((*_WORDS, *sorted({*old, *new})))
    differing = {name for name in names if old.get(name) != new.get(name)}
    counted = differing - _implied(old, new, differing)
    return tuple(_phrase(name, old.get(name), new.get(name)) for name in names if name in counted)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> _Flat:
    """Return the fields by their path, such as `reading.size`."""
    flat: _Flat = {}
    for name, value in values.items():
        path = prefix + name
        if path in _NESTED and isinstance(value, dict):
            flat |= _flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def _kind_of_views(flat: _Flat) -> str:
    if any(name.startswith("reading.augmentation") for name in flat):
        return "augmented"
    return "crops" if "reading.resize" in flat else "whole images"


def _implied(old: _Flat, new: _Flat, differing: set[str]) -> set[str]:
    """Return the fields that differ only because another one does."""
    implied: set[str] = set()
    if "model" in differing:
        implied |= {"alpha", "weights"}
        implied |= {name for name in ("preprocessing", "reading.size") if _is_own(name, old) and _is_own(name, new)}
    if "alpha" in differing:
        implied.add("weights")
    if "reading.name" in differing:  # each reading counts its own versions
        implied.add("reading.version")
    if "views" in differing:
        implied |= {"reading.resize", *(name for name in differing if name.startswith("reading.augmentation"))}
        implied |= {"reading.fit"} if _has_default_fit(old) and _has_default_fit(new) else set()
    elif "reading.size" in differing and _has_default_canvas(old) and _has_default_canvas(new):
        implied.add("reading.resize")
    return implied


def _is_own(name: str, flat: _Flat) -> bool:
    """Whether the preprocessing or the input size is the one that the base was trained with."""
    model = str(flat.get("model"))
    info = BUILT_IN.get(model) or BASES.get(model)
    if info is None:
        return False
    if name == "reading.size":
        return flat.get(name) == [info.input_size, info.input_size]
    return _variant(flat.get(name)) == info.preprocessing


def _has_default_fit(flat: _Flat) -> bool:
    return flat.get("reading.fit") == ("crop" if flat["views"] == "crops" else "squash")


def _has_default_canvas(flat: _Flat) -> bool:
    try:
        return [round(side / CANVAS) for side in flat["reading.size"]] == list(flat["reading.resize"])
    except (KeyError, TypeError, OverflowError):  # whole images, or a file written by hand
        return False


def _phrase(name: str, old: Any, new: Any) -> str:
    words = _WORDS.get(name) or name.replace("reading.augmentation.", "augmentation's ")
    if name == "weights":
        return f"weights differ ({str(old)[:8]} -> {str(new)[:8]})"
    if name == "preprocessing":
        return f"{words} {_variant(old, new)} -> {_variant(new, old)}"
    if name == "reading.bits":  # left out where they are all
        old, new = (ALL_BITS if bits is None else bits for bits in (old, new))
    if name == "reading.probe":
        old, new = map(describe_probe, (old, new))
    return f"{words} {_text(old)} -> {_text(new)}"


def _variant(described: Any, other: Any = None) -> str:
    """Return the name of a preprocessing; if it has none, the numbers that differ from `other`."""
    name = _NAMES.get(json.dumps(described, sort_keys=True))
    if name or not isinstance(described, dict):
        return name or _text(described)
    others = other if isinstance(other, dict) else {}
    fields = [field for field in dict.fromkeys((*_NUMBERS, *described)) if described.get(field) != others.get(field)]
    return ",".join(f"{field}={_numbers(described.get(field))}" for field in fields)


def _numbers(value: Any) -> str:
    return ":".join(map(_text, value)) if isinstance(value, list) else _text(value)


def _text(value: Any) -> str:
    """Return a size as 224 or 224x320, a missing value as `none`, and any other value as text."""
    if value is None:
        return "none"
    if isinstance(value, list) and len(value) == 2:
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(value)
