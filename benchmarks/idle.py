"""`featstore extract` with nothing to do on 10,000 files, against a bare walk of the same tree."""

from __future__ import annotations

import time
from pathlib import Path

from timing import draw_images, featstore, in_turns, python

WALK = """
import os, sys
def walk(folder):
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                walk(entry.path)
            else:
                entry.stat()
walk(sys.argv[1])
"""


def measure_idle(data: Path, scratch: Path, rounds: int = 9) -> None:
    images = draw_images(scratch / "images", 10_000)
    time.sleep(3)  # files younger than two seconds are not remembered
    extract = featstore("extract", images, "--model", "tiny", cwd=scratch)
    extract()
    seconds = in_turns(
        {
            "extract": extract,
            "help": featstore("--help", cwd=scratch),
            "walk": python(("-c", WALK, images), scratch),
            "python": python(("-c", "pass"), scratch),
        },
        rounds,
    )
    for name, value in seconds.items():
        print(f"  {name:8} {value * 1000:6.0f} ms")
    walk = seconds["walk"] - seconds["python"]
    print(f"  (extract - help) / (walk - python): {(seconds['extract'] - seconds['help']) / walk:.1f}")
    print(f"  extract / help: {seconds['extract'] / seconds['help']:.2f}")
