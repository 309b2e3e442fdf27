"""What the canary costs: extractions that add rows to a key, with its comparison and without."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from timing import draw_images, in_turns

# Base, size and rows: a batch of 32 holds the canary too, is full with it, or has no room for it.
CASES = (
    ("tiny", 32, 1),
    ("MobileNetV2", 224, 1),
    ("MobileNetV2", 224, 28),
    ("MobileNetV2", 224, 64),
    ("VGG16", 224, 1),
)


def measure_canary(data: Path, scratch: Path, rounds: int = 3) -> None:
    from featstore import Cache

    images = sorted(
        draw_images(scratch / "images", (2 * rounds + 1) * max(added for _, _, added in CASES), side=256).rglob("*.png")
    )
    for model, size, added in CASES:
        options = {"model": model, "weights": "random", "size": size, "cache": Cache(scratch / f"{model}-{added}")}
        left = list(images)
        add(left, added, options)  # loads the base and begins the key
        ways = {"with": partial(add, left, added, options), "without": partial(add_unguarded, left, added, options)}
        seconds = in_turns(ways, rounds)
        more = (seconds["with"] - seconds["without"]) * 1000
        print(
            f"  {model:12} {added:2} rows: {seconds['without'] * 1000:6.0f} ms without, {more:+5.0f} ms with it, "
            f"ratio {seconds['with'] / seconds['without']:.2f}",
            flush=True,
        )


def add(left: list[Path], count: int, options: dict[str, Any]) -> None:
    """Add the rows of `count` images, which are taken off `left`."""
    from featstore import extract
    from featstore.datasets.file_lists import list_files

    extract(list_files([left.pop() for _ in range(count)]), **options)


def add_unguarded(left: list[Path], count: int, options: dict[str, Any]) -> None:
    from featstore.extraction.canary import Guard

    with (
        patch.object(Guard, "__call__", lambda guard, images: guard._encode(images)),
        patch("featstore.extraction.pipeline.NAMES", ()),
    ):
        add(left, count, options)
