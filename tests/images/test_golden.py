"""Golden pixels guard the versions of the reading code: a changed pixel needs a new version.

Old features would be served for new pixels otherwise. Lossless files must come out exactly as they did. So must photos
with the decoder that the pixels were made with; another release of it may round otherwise, as decoders are allowed to
(ISO/IEC 10918-2), and is given two levels for that: releases of libraries are not in the key either.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import make
from PIL import Image

from featstore.images import augmentation, decode, probe, probing, reading, resize
from featstore.images.views import Augmentation
from featstore.system.tensorflow_loader import load_tensorflow

PHOTO_LEVELS = 2  # between decoders of photos
FLOAT_LEVELS = 1e-3  # between processors: the rounding of float32 at 255, some times over
WHERE = {
    "pillow": "VERSIONS['pillow'] in featstore/images/reading.py",
    "fast": "VERSIONS['fast'] in featstore/images/reading.py",
    "keras-compat": "VERSIONS['keras-compat'] in featstore/images/reading.py",
    "augmented": "the version in Augmentation.describe in featstore/images/views.py",
    "probed": "the version in _KINDS in featstore/images/probe.py",
}


def verdict(group: str) -> str:
    """What is wrong with the pixels of `group` and what to do; empty if nothing is."""
    path = make.file_of(group)
    if not path.exists():
        return f"no golden pixels {path.name}: after raising a version run `python tests/golden/make.py`"
    made_with, kept = make.load(path)
    cases = make.cases(group)
    if cases.keys() != kept.keys():
        return f"other cases than in {path.name}: run `python tests/golden/make.py --replace`"
    here = make.decoder(group)
    changes = {name: change for name, case in cases.items() if (change := compare(case, kept[name], made_with == here))}
    if not changes:
        return ""
    message = (
        f"pixels of the reading {group} changed: raise {WHERE[group]}, remove {path.name}, and run "
        "`python tests/golden/make.py`"
    )
    if made_with != here and all(".jpg" in name for name in changes):
        message += f" - unless only the decoder of photos did: they were made with {made_with}, here is {here}"
    return "\n".join([message, *(f"  {name}: {change}" for name, change in changes.items())])


def compare(case: make.Case, expected: np.ndarray, same_decoder: bool) -> str:
    """How the pixels of `case` differ from what is `expected`; empty if they do not, or no more than they may."""
    found = case.read()
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"{found.shape} {found.dtype} instead of {expected.shape} {expected.dtype}"
    allowed = FLOAT_LEVELS if found.dtype == np.float32 else 0
    if case.image.endswith(".jpg") and not same_decoder:
        allowed = PHOTO_LEVELS
    apart = np.abs(found.astype(float) - expected)
    wrong = int((apart > allowed).sum())
    return f"{wrong} of {apart.size} numbers differ, by up to {apart.max():.3g} levels" if wrong else ""


@pytest.mark.parametrize("group", make.GROUPS)
def test_pixels_are_those_of_this_version(group: str) -> None:
    """Every kind of file, fit and interpolation; crops, mirror images and augmented versions."""
    wrong = verdict(group)
    assert not wrong, wrong


def test_there_are_pixels_of_the_current_versions_only() -> None:
    """Those of a version that was given up can guard nothing."""
    assert {path.name for path in make.HERE.glob("*.npz")} == {make.file_of(group).name for group in make.GROUPS}


def test_no_case_stands_for_another() -> None:
    """Each has pixels of its own, so that none is read by the rules of another unnoticed."""
    for group in make.GROUPS:
        _, kept = make.load(make.file_of(group))
        assert len({pixels.tobytes() for pixels in kept.values()}) == len(kept)


# The test of the test: possible changes, each of which must be found.


def nearest(image: Image.Image, size: tuple[int, int], filter_: Any) -> Image.Image:
    return image.resize(size, Image.Resampling.NEAREST)


def without_antialiasing(image: Image.Image, size: tuple[int, int], filter_: Any) -> Image.Image:
    steps = (image.width / size[0], 0, 0, 0, image.height / size[1], 0)
    known = {Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST}
    kind = filter_ if filter_ in known else Image.Resampling.BILINEAR
    return image.transform(size, Image.Transform.AFFINE, steps, kind)


def width_first(image: Image.Image, size: tuple[int, int], filter_: Any) -> Image.Image:
    return image.resize((size[0], image.height), filter_).resize(size, filter_)


def corner_for_centre(canvas: Image.Image, place: int, to: Any) -> Image.Image:
    return canvas.crop((0, 0, to.width, to.height))


def one_level_more(image: Image.Image, to: Any, canvas: Any = resize._canvas) -> Image.Image:
    pixels = np.array(canvas(image, to))
    pixels[5, 7, 1] ^= 1
    return Image.fromarray(pixels)


def mirrored_always(content: bytes, ranges: Any, version: int, generator: Any = augmentation._generator) -> Any:
    random = generator(content, ranges, version)
    random.uniform()
    return random


PLANTED: list[tuple[str, Any, str, Callable[..., Any]]] = [
    ("pillow", resize, "_resize", nearest),
    ("pillow", resize, "_resize", without_antialiasing),
    ("pillow", resize, "_resize", width_first),
    ("pillow", resize, "_crop", corner_for_centre),
    ("pillow", resize, "_canvas", one_level_more),
    ("pillow", resize, "_fitting_size", lambda size, target: target),
    ("pillow", resize, "_covering_size", lambda size, target: target),
    ("pillow", decode, "_orientation", lambda image: 1),
    ("pillow", decode, "_to_rgb", lambda image, alpha, bits: image.convert("RGB")),
    ("pillow", decode, "_declares_alpha", lambda image, raw: True),
    ("pillow", decode, "_from_16_bit", lambda image, bits: image.convert("RGB")),
    ("fast", decode, "_orientation", lambda image: 1),
    ("fast", resize, "scaled_size", lambda size, to: (to.width - 1, to.height)),
    ("augmented", augmentation, "_generator", lambda content, ranges, version: np.random.default_rng(version)),
    ("augmented", augmentation, "_generator", mirrored_always),
    ("augmented", augmentation, "transform", lambda pixels, matrix: pixels),
    ("augmented", augmentation, "_random_box", lambda size, smallest, random: (0, 0, *size)),
    ("probed", probing, "transform", lambda pixels, matrix, outside: pixels),
    ("probed", probing, "change_image", lambda image, probe: image),
]


@pytest.mark.parametrize(("group", "module", "name", "change"), PLANTED)
def test_a_change_of_the_code_is_found(
    group: str, module: Any, name: str, change: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to do."""
    monkeypatch.setattr(module, name, change)
    found = verdict(group)
    assert found, f"the golden test is blind: it does not see another {name}"
    assert found.startswith(f"pixels of the reading {group} changed: raise {WHERE[group]}")
    assert "levels" in found


def planted_in_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from featstore.images import keras_compat

    resize, decode_image, fitted = tf.image.resize, tf.io.decode_image, keras_compat._resize

    def accurate(raw: bytes, **options: Any) -> Any:
        if raw[:2] == b"\xff\xd8":
            return tf.io.decode_jpeg(raw, channels=3, dct_method="INTEGER_ACCURATE")
        return decode_image(raw, **options)

    changes: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "antialiasing": (tf.image, "resize", lambda *args, **options: resize(*args, **options | {"antialias": True})),
        "an accurate decoder": (tf.io, "decode_image", accurate),
        "whole levels": (keras_compat, "_resize", lambda *args: tf.round(fitted(*args))),
    }
    monkeypatch.setattr(*changes[name])


@pytest.mark.parametrize("name", ["antialiasing", "an accurate decoder", "whole levels"])
def test_a_change_of_the_reading_like_keras_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow is changed, so it loads first."""
    load_tensorflow()
    planted_in_keras(name, monkeypatch)
    found = verdict("keras-compat")
    assert found, f"the golden test is blind: it does not see {name}"
    assert found.startswith(f"pixels of the reading keras-compat changed: raise {WHERE['keras-compat']}")


@pytest.mark.parametrize("group", make.GROUPS)
def test_a_raised_version_needs_pixels(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising alone is not enough, so that the next change is seen as well."""
    if group == "augmented":
        describe = Augmentation.describe
        monkeypatch.setattr(Augmentation, "describe", lambda self: {**describe(self), "version": 99})
    elif group == "probed":
        monkeypatch.setitem(probe._KINDS, "blur", probe._KINDS["blur"]._replace(version=99))
    else:
        monkeypatch.setitem(reading.VERSIONS, group, 99)
    assert verdict(group).startswith("no golden pixels")


OLD, HERE = "libjpeg of long ago", make.decoder("pillow")


@pytest.mark.parametrize(
    ("kind", "levels", "made_with", "found", "excused"),
    [
        (".jpg", 1, HERE, True, False),
        (".jpg", 2, OLD, False, False),
        (".jpg", 3, OLD, True, True),
        (".png", 1, OLD, True, False),
    ],
)
def test_another_decoder_of_photos_may_round_otherwise(
    kind: str, levels: int, made_with: str, found: bool, excused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two levels in photos and none elsewhere; where only photos differ by more, it may be the decoder's doing."""
    load = make.load

    def shifted(path: Path) -> tuple[str, dict[str, np.ndarray]]:
        _, kept = load(path)
        others = {name: np.where(p < 128, p + levels, p - levels) for name, p in kept.items() if kind in name}
        return made_with, kept | others

    monkeypatch.setattr(make, "load", shifted)
    message = verdict("pillow")
    assert bool(message) is found
    assert ("unless only the decoder of photos did: they were made with libjpeg of long ago" in message) is excused


def test_pixels_that_are_there_are_not_overwritten() -> None:
    """The script without a new version says that it is not enough."""
    before = {path.name: path.read_bytes() for path in make.HERE.glob("*.npz")}
    done = subprocess.run([sys.executable, make.__file__], capture_output=True, text=True, check=True)
    assert done.stdout.count("is there and stays: raise the version") == len(make.GROUPS)
    assert {path.name: path.read_bytes() for path in make.HERE.glob("*.npz")} == before
