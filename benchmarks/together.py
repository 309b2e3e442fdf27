"""Three preprocessing variants and two bases in one call, against six calls, in one process.

On photos of about 400 px, and on the same enlarged four times, as a camera makes them: there decoding counts. Networks
run on TensorFlow: so few photos are not worth a trial of another engine.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from timing import in_turns

MODELS = ["MobileNetV2", "MobileNet"]
VARIANTS = ["keras", "rescale", "raw"]
PHOTOS = 96
ENLARGED = 4


def measure_together(data: Path, scratch: Path, rounds: int = 2) -> None:
    from PIL import Image

    source = sorted((data / "images" / "cats_dogs" / "train").glob("*/*.jpg"))[::3][:PHOTOS]
    for name, factor in (("photos as they are", 1), (f"enlarged {ENLARGED} times", ENLARGED)):
        photos = scratch / f"photos-{factor}"
        for path in source:
            target = photos / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                if factor == 1:
                    shutil.copy(path, target)
                else:
                    image.resize((image.width * factor, image.height * factor)).save(target, quality=90)
        seconds = _measure(photos, scratch, rounds)
        print(f"  {name:20} six calls {seconds['six']:.1f} s, one call {seconds['one']:.1f} s: ", end="")
        print(f"{seconds['six'] / seconds['one']:.2f} (bar 1.1)", flush=True)


def _measure(photos: Path, scratch: Path, rounds: int) -> dict[str, float]:
    from featstore import Recipe
    from featstore.extraction.pipeline import extract_features

    recipes = [
        Recipe(model=model, preprocess=variant, weights="random")
        for model, variant in itertools.product(MODELS, VARIANTS)
    ]

    def with_calls(*calls: list[Recipe]) -> None:
        shutil.rmtree(scratch / "cache", ignore_errors=True)
        for call in calls:
            extract_features(photos, call, scratch / "cache")

    ways = {"six": lambda: with_calls(*([recipe] for recipe in recipes)), "one": lambda: with_calls(recipes)}
    for way in ways.values():
        way()  # networks are in memory from here on
    return in_turns(ways, rounds)
