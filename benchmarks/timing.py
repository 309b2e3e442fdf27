"""Timing of whole processes and of functions, in turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way; every round tries all of them, so that a slow minute hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def python(arguments: Sequence[object], cwd: Path) -> Callable[[], object]:
    """A way that runs this Python with `arguments` as a process of its own."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}

    def run() -> None:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")

    return run


def featstore(*arguments: object, cwd: Path) -> Callable[[], object]:
    return python(("-m", "featstore", *arguments), cwd)


def draw_images(folder: Path, count: int, side: int = 32, seed: int = 0) -> Path:
    """`count` different PNG images of noise in two classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    for kind in ("a", "b"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number:06d}.png", compress_level=1)
    return folder
