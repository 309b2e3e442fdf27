"""Why a file of weights does not fit a base: whose weights they are, as their number and the names of layers tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from featstore.bases.catalog import BASES, BaseInfo
from featstore.bases.file_kinds import ARCHIVE_ENDING
from featstore.bases.source import BaseSource
from featstore.bases.weights_file import IMAGENET_CLASSES, count_numbers, holds_classifier, is_numbered, numbered_layers
from featstore.errors import BaseUnavailable, param

# How many numbers the weights of the bases with a width multiplier are: alpha -> without the classifier, with it.
_COUNTS_BY_ALPHA = {
    "MobileNet": {
        0.25: (218_544, 475_544),
        0.5: (829_536, 1_342_536),
        0.75: (1_832_976, 2_601_976),
        1.0: (3_228_864, 4_253_864),
    },
    "MobileNetV2": {
        0.35: (410_208, 1_691_208),
        0.5: (706_224, 1_987_224),
        0.75: (1_382_064, 2_663_064),
        1.0: (2_257_984, 3_538_984),
        1.3: (3_766_048, 5_431_048),
        1.4: (4_363_712, 6_156_712),
    },
    "MobileNetV3Small": {0.75: (583_160, 2_051_552), 1.0: (939_120, 2_554_968)},
    "MobileNetV3Large": {0.75: (1_808_736, 4_012_616), 1.0: (2_996_352, 5_507_432)},
}
_CLASSIFIER_OF_VGG = 123_642_856  # three layers; the other bases have one, from `width` to the 1,000 classes


class Owner(NamedTuple):
    """A base whose weights are as many numbers as those in a file."""

    name: str
    alpha: float | None
    top: bool


def owner_of(numbers: int) -> Owner | None:
    """Return the base of the catalogue whose weights are this many numbers; None if there is none."""
    return _owners().get(numbers)


def explain_misfit(path: Path, source: BaseSource, size: tuple[int, int]) -> str:
    """Return the text that names the network which the weights in `path` do not fit, and what to give in its place."""
    network = f"{source.identity()} without its ImageNet classifier"
    kind, named = "without the classifier", "usually with no_top or notop in its name"
    if source.top:
        network = f"{source.identity()} with its ImageNet classifier at {size[0]}x{size[1]} px"
        kind, named = "with the classifier", "without no_top or notop in its name"
    expected = f"expected the file {kind} for this model and {param('alpha')}, {named}"
    try:
        return f"{network}{_reason(path, source) or f'; {expected}'}"
    except BaseUnavailable:  # not a file of weights; the caller quotes what Keras says about it
        return f"{network}; {expected}"


def _reason(path: Path, source: BaseSource) -> str | None:
    own = Owner(source.model, source.alpha, source.top)
    found = owner_of(count_numbers(str(path)))
    if found and found.name != own.name:
        return f": by their number they are those of {_named(found)}; give it as {param('model')}, or its own file"
    if found and found.alpha != own.alpha:
        return f": they are those of {_named(found)}; give that, or the file for {param('alpha', own.alpha)}"
    layers = numbered_layers(path) if path.suffix != ARCHIVE_ENDING and is_numbered(path) else []
    if found and found.top == own.top:
        names = f" (its layers are {', '.join(layers[:3])}, ...)" if layers else ""
        return (
            f", though they are as many numbers{names}: a file of another release of Keras; expected that of Keras 3, "
            "whose layers have the order of today's network"
        )
    if 0 < len(layers) <= 4:
        return (
            f": the file is of a network with {len(layers)} layers ({', '.join(layers)}), of which a whole base may be "
            f"one; give the file of that whole network as {param('model')}, with {param('layer')}"
        )
    if holds_classifier(str(path)) != own.top:
        which, other = ("without", "with") if own.top else ("with", "without")
        return f", because the file is one {which} the classifier; expected the file {other} the classifier"
    return None


def _named(owner: Owner) -> str:
    return owner.name if owner.alpha is None else f"{owner.name} with {param('alpha', owner.alpha)}"


def _owners() -> dict[int, Owner]:
    owners: dict[int, Owner] = {}
    for info in BASES.values():
        for alpha, counts in _counts(info).items():
            owners |= {number: Owner(info.name, alpha, top) for top, number in zip((False, True), counts, strict=True)}
    return owners


def _counts(info: BaseInfo) -> Mapping[float, tuple[int, int]] | Mapping[None, tuple[int, int]]:
    """Return how many numbers the weights of a base are, by alpha: without its classifier, and with it."""
    if info.takes_alpha:
        return _COUNTS_BY_ALPHA[info.name]
    top = _CLASSIFIER_OF_VGG if info.name.startswith("VGG") else (info.width + 1) * IMAGENET_CLASSES
    return {None: (info.parameters - top, info.parameters)}
