"""Copies: each kind of planted copy of test images must be found in training, and clean sets raise no alarm.

A hundred test images of each set are changed in one way and laid into the training split. Each kind is measured by
itself: among all kinds at once, one copy would be found by way of another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from featstore.copies.job import find_copies
from featstore.copies.proof import prove_rule
from featstore.datasets.manifest import Picture
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.training.fit import Prepared, prepare

SETS = ("cats_dogs", "flowers5", "mnist")
IMAGES = 100


def _jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def save(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return save


def _crop(share: float) -> Callable[[Image.Image], Image.Image]:
    def crop(image: Image.Image) -> Image.Image:
        width, height = round(share * image.width), round(share * image.height)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    return crop


def _halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def _watermarked(image: Image.Image) -> Image.Image:
    image = image.copy()
    width, height = image.size
    ImageDraw.Draw(image).rectangle((0.6 * width, 0.85 * height, 0.97 * width, 0.95 * height), fill="white")
    return image


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "another file": lambda image: image,  # the same pixels
    "JPEG 60": _jpeg(60),
    "JPEG 30": _jpeg(30),
    "mirrored": ImageOps.mirror,
    "crop of 90 %": _crop(0.9),
    "crop of 80 %": _crop(0.8),
    "half size": _halved,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": lambda image: image.convert("L"),
    "border": lambda image: ImageOps.expand(image, round(0.08 * max(image.size)), "white"),
    "watermark": _watermarked,
    "rotated": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored, crop, 60": lambda image: _jpeg(60)(_crop(0.9)(ImageOps.mirror(image))),
}


def measure_copies(data: Path, scratch: Path) -> None:
    """Print for each set how many copies of each kind are found, what a clean set alarms of, and the seconds."""
    weights = data / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    recipe = Recipe(model="MobileNet", alpha=0.25, weights=str(weights), size="224")
    for name in SETS:
        _measure(data / "images" / name, recipe, scratch / name)


def _measure(source: Path, recipe: Recipe, scratch: Path) -> None:
    prepared = prepare(source, [recipe], cache=scratch / "cache")
    start = time.perf_counter()
    sketches, clean = find_copies(prepared.manifest, prepared.plans, prepared.cache)
    first = time.perf_counter() - start
    start = time.perf_counter()
    find_copies(prepared.manifest, prepared.plans, prepared.cache)
    again = time.perf_counter() - start
    images = len({digest for match in clean.matches for digest in match[:2]})
    print(
        f"  {source.name}: {len(sketches):,} images, {images} of them in {len(clean.matches)} pairs; {first:.1f} s, "
        f"and {again:.1f} s when called again",
        flush=True,
    )
    print(f"    {prove_rule(prepared.manifest, prepared.plans, prepared.cache, sketches, clean).sentence()}")
    drawn = np.random.default_rng(0).permutation(len(prepared.manifest.of_split("test")))[:IMAGES]
    originals = [prepared.manifest.of_split("test")[number] for number in drawn]
    for kind in KINDS:
        found = _found(kind, originals, prepared, recipe, scratch / "plants")
        print(f"    {kind:20} {found:3} of {len(originals)}", flush=True)


def _found(kind: str, originals: list[Picture], prepared: Prepared, recipe: Recipe, folder: Path) -> int:
    """Return how many copies of `originals` in training are found to be the same picture."""
    folder = folder / kind.replace(" ", "-")
    folder.mkdir(parents=True)
    paths = [folder / f"{number:03d}.png" for number in range(len(originals))]
    for path, original in zip(paths, originals, strict=True):
        with Image.open(original.path) as image:
            KINDS[kind](image.convert("RGB")).save(path)
    planted = extract_features(folder, [recipe], prepared.cache).manifest.pictures
    laid = [copy._replace(label=of.label, split="train") for copy, of in zip(planted, originals, strict=True)]
    mixed = prepared.manifest.with_pictures([*prepared.manifest.pictures, *laid])
    _, copies = find_copies(mixed, prepared.plans, prepared.cache)
    units = copies.unit_names([*originals, *laid])
    return sum(one == other for one, other in zip(units[: len(laid)], units[len(laid) :], strict=True))
