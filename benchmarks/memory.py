"""Peak memory, as the operating system saw it: of 1,000 and 10,000 images, and of a grid of large bases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from timing import draw_images

LARGE = ("ConvNeXtLarge", "ResNet152")  # 785 and 223 MB of weights


def measure_memory(data: Path, scratch: Path) -> None:
    peaks = {}
    for count in (1_000, 10_000):
        images = draw_images(scratch / str(count), count, side=64)
        peaks[count] = peak_megabytes("extract", images, "--model", "tiny", "--size", 64, "--quiet", cwd=scratch)
        print(f"  {count:6} images: {peaks[count]:.0f} MB", flush=True)
    print(f"  ratio {peaks[10_000] / peaks[1_000]:.2f}")
    images = draw_images(scratch / "few", 16, side=64)
    alone = _grid_megabytes(images, [LARGE[0]], scratch / "alone")
    grid = _grid_megabytes(images, LARGE, scratch / "grid")
    print(f"  {LARGE[0]} alone: {alone:.0f} MB, a grid with {LARGE[1]}: {grid:.0f} MB")
    print(f"  ratio {grid / alone:.2f}")


def _grid_megabytes(images: Path, models: Sequence[str], cache: Path) -> float:
    """Of `compare` with random weights and an empty cache."""
    named = [argument for model in models for argument in ("--model", model)]
    options = ("--weights", "random", "--size", 64, "--cache", cache, "--quiet")
    return peak_megabytes("compare", images, *named, *options, cwd=images.parent)


def peak_megabytes(*arguments: object, cwd: Path) -> float:
    """Of featstore as a process of its own."""
    command = [sys.executable, "-m", "featstore", *map(str, arguments)]
    child = subprocess.Popen(command, cwd=cwd)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024
