"""Drawings of cats and dogs, and a data set of them with everything that an audit should find, for `pets_report.py`.

Cats have pointed ears and whiskers, dogs have hanging ears and a long muzzle. Fur, pose, light, collars and backgrounds
vary in both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from characters import FINE, SIDE, Colour, Pen, Rng, any_colour, draw_background, shade
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

KINDS = ("cats", "dogs")
QUALITY = {"cats": 92, "dogs": 70}  # a shortcut: the compression alone tells the classes apart
FURS = ((222, 160, 94), (244, 236, 224), (96, 88, 92), (150, 108, 76), (182, 178, 176), (52, 48, 52), (206, 188, 160))
INK, NOSE, TONGUE, WHITE = (48, 40, 44), (70, 50, 56), (214, 110, 120), (250, 248, 244)


def draw_cat(pen: Pen, rng: Rng, fur: Colour, second: Colour) -> None:
    """The head from the front: triangles for ears, slits in the eyes, whiskers, and often stripes."""
    wide, high = rng.uniform(0.9, 1.1), rng.uniform(1.5, 1.8)
    for side in (-1, 1):
        ear = np.array([(0.95, -0.35), (1.0, -high), (0.25, -0.85)]) * (side * wide, 1)
        pen.shape(ear, fur, soft=1)
        pen.shape(ear * 0.62 + (side * 0.27, -0.42), shade(TONGUE, 1.3), soft=1)
    pen.oval(0, 0, 1.08 * wide, 0.92, fur)
    if rng.random() < 0.6:
        for x in (-0.28, 0, 0.28):
            pen.stroke([(x, -0.82), (0.8 * x, -0.48)], second, 0.09)
        for side in (-1, 1):
            pen.stroke([(side * 1.0 * wide, 0.05), (side * 0.72, 0.1)], second, 0.08)
    iris = [(120, 170, 80), (220, 180, 60), (90, 150, 200)][rng.choice(3)]
    slit = rng.uniform(0.04, 0.12)
    for side in (-1, 1):
        pen.oval(side * 0.42, -0.12, 0.23, 0.2, iris, INK)
        pen.oval(side * 0.42, -0.12, slit, 0.18, INK)
        for down in (-0.08, 0.04, 0.16):
            pen.stroke([(side * 0.3, 0.32 + down / 2), (side * 1.45, 0.22 + 1.6 * down)], shade(fur, 0.4))
    pen.shape([(-0.12, 0.2), (0.12, 0.2), (0, 0.34)], TONGUE, soft=1)
    for side in (-1, 1):
        pen.arc(side * 0.13, 0.42, 0.13, 0.1, INK)


def draw_dog(pen: Pen, rng: Rng, fur: Colour, second: Colour) -> None:
    """The head from the front: flaps for ears, a long muzzle with a large nose, often the tongue out."""
    long, wide = rng.uniform(0.75, 1.15), rng.uniform(0.85, 1.0)
    pen.shape([(-0.8 * wide, -0.9), (0.8 * wide, -0.9), (wide, 0.1), (0.6, 0.95), (-0.6, 0.95), (-wide, 0.1)], fur)
    if rng.random() < 0.5:
        side = rng.choice([-1, 1])
        pen.oval(side * 0.4, -0.22, 0.36, 0.4, second, second)
    hang = rng.uniform(0.5, 1.0)
    for side in (-1, 1):
        ear = [(0.55, -0.95), (0.95, -1.0), (1.3, -0.2), (1.2, hang), (0.9, hang + 0.1), (0.78, -0.1)]
        pen.shape(np.array(ear) * (side * wide, 1), second)
    for side in (-1, 1):
        pen.oval(side * 0.38, -0.22, 0.16, 0.18, INK)
        pen.oval(side * 0.38 - 0.05, -0.28, 0.05, 0.05, WHITE, WHITE)
        pen.stroke([(side * 0.24, -0.52), (side * 0.5, -0.56)], shade(fur, 0.55), 0.08)
    pen.oval(0, 0.35 + 0.3 * long, 0.52, 0.62 * long, shade(fur, 1.35))
    if rng.random() < 0.6:
        low = 0.75 + 0.45 * long
        pen.shape([(-0.2, low), (0.2, low), (0.24, low + 0.5), (0, low + 0.65), (-0.24, low + 0.5)], TONGUE)
    pen.oval(0, 0.18, 0.27, 0.19, NOSE)
    pen.stroke([(0, 0.36), (0, 0.5 + 0.3 * long)], INK)
    for side in (-1, 1):
        pen.arc(side * 0.2, 0.5 + 0.3 * long, 0.2, 0.16, INK)


def draw_pet(kind: str, number: int) -> Image.Image:
    """Drawing `number` of "cats" or "dogs", the same each time."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE))
    draw_background(image, rng)
    pen = Pen(image, rng)
    fur, second = (FURS[place] for place in rng.choice(len(FURS), 2, replace=False))
    pen.shape([(-0.7, 0.7), (0.7, 0.7), (1.3, 3.6), (-1.3, 3.6)], shade(fur, 0.92))
    if rng.random() < 0.4:
        pen.shape([(-0.62, 0.85), (0.62, 0.85), (0.7, 1.15), (-0.7, 1.15)], any_colour(rng), soft=1)
    (draw_cat if kind == "cats" else draw_dog)(pen, rng, fur, second)
    return stretched(image, rng).reduce(FINE)


def stretched(image: Image.Image, rng: Rng) -> Image.Image:
    """Wider or taller by up to a third, and leaning: else two drawings of one colour are nearly the same picture."""
    wide, lean = rng.uniform(0.75, 1.33), rng.uniform(-0.2, 0.2)
    middle = image.width / 2
    matrix = (1 / wide, lean, middle * (1 - 1 / wide - lean), 0, 1, 0)
    paper = image.getpixel((0, 0))
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=paper)


def write_pets(folder: Path, train: int) -> None:
    """`train` drawings of each class, a third as many for validation, half as many to test; then what is wrong."""
    for split, count, first in (("train", train, 0), ("val", train // 3, 10_000), ("test", train // 2, 20_000)):
        for kind in KINDS:
            for number in range(count):
                save(draw_pet(kind, first + number), folder / split / kind / f"{kind[:-1]}-{number:03d}.jpg")
    plant_problems(folder)


def plant_problems(folder: Path) -> None:
    """Leaks, labels that contradict each other or are wrong, a damaged file, and photos that went wrong."""
    cats, dogs = (folder / "train" / kind for kind in KINDS)
    kept = (cats / "cat-000.jpg").read_bytes()
    (folder / "test" / "cats" / "copy.jpg").write_bytes(kept)
    save(ImageOps.mirror(draw_pet("dogs", 1)), folder / "test" / "dogs" / "mirrored.jpg")
    save(draw_pet("cats", 2).crop((6, 6, SIDE - 6, SIDE - 6)).resize((SIDE, SIDE)), folder / "test/cats/cropped.jpg")
    (dogs / "also-a-cat.jpg").write_bytes((cats / "cat-003.jpg").read_bytes())
    for number in (500, 501, 502):
        save(draw_pet("cats", number), dogs / f"dog-{number}.jpg")
    (dogs / "damaged.jpg").write_bytes(kept[: len(kept) // 3])
    save(ImageEnhance.Brightness(draw_pet("dogs", 510)).enhance(0.08), dogs / "dark.jpg")
    save(draw_pet("cats", 511).filter(ImageFilter.GaussianBlur(6)), cats / "blurred.jpg")


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=QUALITY[path.parent.name])
