"""Shortcuts: planted ones must be named, and clean sets raise no alarm; and the time that the facts of an image take.

A plant changes the files of one class. All others are saved alike, so that nothing else tells the class. Features are
not needed to find a shortcut: the base is the pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

EACH = 150  # images of each class of the planted sets
CLEAN = ("cats_dogs", "flowers5", "mnist")


class Plant(NamedTuple):
    """A shortcut: what is done to the first class, and the cue that must be named.

    quality: of the JPEGs of the first class and of the others. kind: the format of the first class.
    """

    name: str
    data: str
    cue: str
    change: Callable[[Image.Image], Image.Image] = lambda image: image
    quality: tuple[int, int] = (85, 85)
    kind: str = "JPEG"


def _framed(image: Image.Image) -> Image.Image:
    """Return the image with a white frame in place of its outermost 8 px, so that its size stays."""
    return ImageOps.expand(ImageOps.crop(image, 8), 8, "white")


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


PLANTS = (
    Plant("JPEG 60 against 95", "cats_dogs", "JPEG quality", quality=(60, 95)),
    Plant("JPEG 75 against 85, one class of five", "flowers5", "JPEG quality", quality=(75, 85)),
    Plant("white border of 8 px", "cats_dogs", "border", _framed),
    Plant("half the size", "cats_dogs", "size in pixels", lambda image: image.reduce(2)),
    Plant("PNG against JPEG", "cats_dogs", "format of the file", kind="PNG"),
    Plant("grey against colour, one class of five", "flowers5", "colour", _grey),
)


def measure_shortcuts(data: Path, scratch: Path) -> None:
    """Print the cue that is named for each plant, the best cue of each clean set, and milliseconds an image."""
    images = data / "images"
    for place, plant in enumerate(PLANTS):
        named, accuracy = _named(_write(plant, images / plant.data, scratch / str(place)), scratch)
        print(f"  {plant.name:40} {'named' if named == plant.cue else 'MISSED'}: {named}, {accuracy:.3f}", flush=True)
    for name in CLEAN:
        named, accuracy = _named(images / name, scratch)
        print(f"  {name:40} {'ALARM' if named else 'no alarm'}: best cue of the files {accuracy:.3f}", flush=True)
    _time_facts(images / "cats_dogs")


def _write(plant: Plant, source: Path, folder: Path) -> Path:
    """Write the planted set: as many images of each class, the first class changed."""
    for number, label in enumerate(sorted(path.name for path in (source / "train").iterdir())):
        (folder / label).mkdir(parents=True)
        for path in sorted((source / "train" / label).iterdir())[:EACH]:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            if number:
                image.save(folder / label / f"{path.stem}.jpg", quality=plant.quality[1])
            else:
                options = {"quality": plant.quality[0]} if plant.kind == "JPEG" else {}
                name = f"{path.stem}.{'jpg' if plant.kind == 'JPEG' else 'png'}"
                plant.change(image).save(folder / label / name, plant.kind, **options)
    return folder


def _named(folder: Path, scratch: Path) -> tuple[str | None, float]:
    """Return the cue that is named, and the best balanced accuracy of a cue of the files."""
    from featstore.auditing.shortcuts import check_shortcuts
    from featstore.auditing.subject import Subject
    from featstore.copies.groups import SamePictures
    from featstore.copies.sketch import make_sketch
    from featstore.extraction.recipe import Recipe
    from featstore.training.fit import prepare

    prepared = prepare(folder, [Recipe(model="pixels", size=16)], cache=scratch / "cache")
    pictures = prepared.manifest.pictures
    sketches = {picture.digest: make_sketch(Path(picture.path).read_bytes()) for picture in pictures}
    check = check_shortcuts(Subject(prepared=prepared, sketches=sketches, copies=SamePictures((), 1.0)))
    shortcut = check.figures["shortcut"]
    of_files = [cue["balanced_accuracy"] for cue in check.figures["cues"] if cue["role"] in ("file", "shape")]
    return (shortcut["cue"] if shortcut else None), max(of_files, default=0.5)


def _time_facts(folder: Path) -> None:
    from featstore.images.decode import decode_rgb
    from featstore.images.facts import facts_of

    files = [path.read_bytes() for path in sorted((folder / "train" / "cats").iterdir())[:200]]
    start = time.process_time()
    images = [decode_rgb(raw) for raw in files]
    decoded = time.process_time()
    for raw, image in zip(files, images, strict=True):
        facts_of(raw, image)
    facts = time.process_time() - decoded
    print(f"  facts of an image: {1000 * facts / len(files):.1f} ms, {facts / (decoded - start):.0%} of its decoding")
