"""Peak memory of an extraction of 1,000 and of 10,000 images, as the operating system saw it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from timing import draw_images


def measure_memory(data: Path, scratch: Path) -> None:
    peaks = {}
    for count in (1_000, 10_000):
        images = draw_images(scratch / str(count), count, side=64)
        peaks[count] = peak_megabytes("extract", images, "--model", "tiny", "--size", 64, "--quiet", cwd=scratch)
        print(f"  {count:6} images: {peaks[count]:.0f} MB", flush=True)
    print(f"  ratio {peaks[10_000] / peaks[1_000]:.2f}")


def peak_megabytes(*arguments: object, cwd: Path) -> float:
    """Of featstore as a process of its own."""
    command = [sys.executable, "-m", "featstore", *map(str, arguments)]
    child = subprocess.Popen(command, cwd=cwd)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024
