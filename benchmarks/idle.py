"""`featstore extract` with nothing to do on 10,000 files: against a bare walk, and with a key of a million rows."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from timing import draw_images, featstore, in_turns, python

FILES = 10_000
ROWS = 1_000_000
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


def measure_idle(data: Path, scratch: Path, rounds: int = 11) -> None:
    """Print the ratios, with their bars. Start-up is what the same command takes for ten files."""
    images, few = draw_images(scratch / "images", FILES), draw_images(scratch / "few", 10, seed=1)
    time.sleep(3)  # files younger than two seconds are not remembered
    for folder in (images, few):
        featstore("extract", folder, "--model", "tiny", cwd=scratch)()
    large = shutil.copytree(scratch / "cache", scratch / "large")
    _grow(large, ROWS - FILES)
    ways = {
        "extract": featstore("extract", images, "--model", "tiny", cwd=scratch),
        "large key": featstore("extract", images, "--model", "tiny", "--cache", large, cwd=scratch),
        "ten files": featstore("extract", few, "--model", "tiny", cwd=scratch),
        "help": featstore("--help", cwd=scratch),
        "walk": python(("-c", WALK, images), scratch),
        "python": python(("-c", "pass"), scratch),
    }
    ways["large key"]()  # which makes the index
    seconds = in_turns(ways, rounds)
    for name, value in seconds.items():
        print(f"  {name:9} {value * 1000:6.0f} ms")
    work, walk = seconds["extract"] - seconds["ten files"], seconds["walk"] - seconds["python"]
    print(f"  (extract - ten files) / (walk - python), at most 3: {work / walk:.2f}")
    print(f"  the same with --help as the start-up: {(seconds['extract'] - seconds['help']) / walk:.2f}")
    print(f"  extract, key of {ROWS:,} rows / key of {FILES:,}, at most 1.2: ", end="")
    print(f"{seconds['large key'] / seconds['extract']:.2f}")
    print(f"  the same without start-up: {(seconds['large key'] - seconds['ten files']) / work:.2f}")


def _grow(cache: Path, count: int) -> None:
    """Add `count` rows of no image to the only key of a cache."""
    import hashlib

    import numpy as np

    from featstore.store.rowid import row_ids
    from featstore.store.rowstore import RowStore

    [about] = cache.glob("*/*/spec.json")
    content = json.loads(about.read_text())
    spec = json.dumps(content["spec"], sort_keys=True, separators=(",", ":"), allow_nan=False)
    store = RowStore(about.parent, content["key"], spec, dict)
    shape = store.row_shape
    assert shape is not None
    with store.writing() as writer:
        for start in range(0, count, 2**14):
            numbers = range(start, min(count, start + 2**14))
            ids = row_ids(hashlib.sha256(str(number).encode()).hexdigest() for number in numbers)
            writer.append(ids, np.ones((len(ids), *shape), np.float16))
