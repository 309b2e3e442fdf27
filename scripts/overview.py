"""Draw docs/images/overview.png, the picture of the README, from the built-in digits: python scripts/overview.py"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from PIL import Image

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "overview.png"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#555555"


def measure(folder: Path) -> list[dict[str, Any]]:
    """Run the quickstart in `folder`; return its runs as the command prints them."""
    command = [sys.executable, "-m", "featstore", "quickstart", "--json", "--folder", str(folder)]
    runs: list[dict[str, Any]] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["runs"]
    return runs


def draw(digits: Sequence[Path], runs: Sequence[dict[str, Any]], picture: Path) -> None:
    """Draw the way from images to heads: the base runs once, the rest starts from the cache.

    Args:
        digits: Twelve image files.
        runs: What `measure` returns.
        picture: The PNG to write.
    """
    figure = plt.figure(figsize=(10, 2.9), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 29))
    axes.axis("off")
    for place, path in enumerate(digits):
        left, bottom = 2 + 4.6 * (place % 3), 18 - 4.6 * (place // 3)
        axes.imshow(Image.open(path), cmap="gray_r", extent=(left, left + 4, bottom, bottom + 4))
    axes.set(xlim=(0, 100), ylim=(0, 29))
    axes.text(8.6, 24.5, "images", ha="center", size=11)
    _box(axes, (23, 8), (17, 10), BLUE, "frozen base", "runs once per image")
    _box(axes, (48, 8), (17, 10), BLUE, "cache (HDF5)", "keyed by content")
    tops = np.linspace(20, 2, len(runs) + 1)
    for run, bottom in zip(runs, tops, strict=False):
        test = run["metrics"]["test"]
        low, high = test["accuracy_ci95"]
        text = f"{test['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        _box(axes, (73, bottom), (25, 7), ORANGE, f"head {run['head']}", f"test accuracy {text}")
    _box(axes, (73, tops[-1]), (25, 7), ORANGE, "compare, fine-tune, your own", "each starts from the cache")
    _arrow(axes, (16.5, 13), (22.5, 13))
    _arrow(axes, (40.5, 13), (47.5, 13))
    for bottom in tops:
        _arrow(axes, (65.5, 13), (72.5, bottom + 3.5))
    axes.text(31.5, 4, "the slow part, once", ha="center", size=10, color=GREY)
    axes.text(56.5, 4, "seconds from here on", ha="center", size=10, color=GREY)
    figure.savefig(picture)
    plt.close(figure)


def _box(axes: Axes, corner: tuple[float, float], size: tuple[float, float], colour: str, *lines: str) -> None:
    axes.add_patch(FancyBboxPatch(corner, *size, "round,pad=0,rounding_size=1", fc=colour + "18", ec=colour, lw=1.4))
    middle = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    axes.text(middle[0], middle[1] + 1.5, lines[0], ha="center", va="center", size=11)
    axes.text(middle[0], middle[1] - 1.6, lines[1], ha="center", va="center", size=8.5, color=GREY)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.2})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = measure(Path(folder))
        digits = [sorted(Path(folder, "digits", str(number % 10)).iterdir())[number] for number in range(12)]
        draw(digits, runs, PICTURE)


if __name__ == "__main__":
    main()
