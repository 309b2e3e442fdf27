"""What `doctor` forecasts of an extraction of photos, against the extraction: its time and its peak of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

BASES = {  # options, the file of the weights, and the number of images
    "MobileNet 0.75": (["--model", "MobileNet", "--alpha", "0.75"], "mobilenet_7_5_224_tf_no_top.h5", 1200),
    "DenseNet121": (["--model", "DenseNet121"], "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", 600),
    "VGG16": (["--model", "VGG16"], "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", 150),
}
PEAK = """
import atexit, os
from pathlib import Path
from featstore.cli.app import main
from featstore.system.machine import peak_memory
atexit.register(lambda: Path(os.environ["FEATSTORE_PEAK"]).write_text(str(peak_memory())))
main()
"""


class Cost(NamedTuple):
    seconds: float
    memory: int


def measure_forecast(data: Path, scratch: Path, rounds: int = 2, names: tuple[str, ...] = tuple(BASES)) -> None:
    for name in names:
        options, file, number = BASES[name]
        images = _some(data / "images" / "cats_dogs", scratch / str(number), number)
        for turn in range(rounds):
            cache = scratch / f"{name} {turn}"
            words = [images, *options, "--weights", data / "weights" / file, "--cache", cache]
            told = _forecast(words)
            true = _extract(words, scratch / "peak")
            times = f"forecast {told.seconds:.1f} s, was {true.seconds:.1f} s, ratio {told.seconds / true.seconds:.2f}"
            ratio = told.memory / true.memory
            memory = f"{told.memory / 1e6:.0f} MB, was {true.memory / 1e6:.0f} MB, ratio {ratio:.2f}"
            print(f"  {name:15} {number:5} images: {times}; memory {memory}", flush=True)


def _forecast(words: list[object]) -> Cost:
    command = [sys.executable, "-m", "featstore", "doctor", *map(str, words), "--json"]
    [made] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["forecasts"]
    print(f"    {made['engine']}, start {made['start_seconds']} s, {made['images_per_second']:.1f} images/s")
    return Cost(made["seconds"], made["memory"])


def _extract(words: list[object], peak: Path) -> Cost:
    """Extract in a process of its own, which writes its peak of memory into a file when it ends."""
    command = [sys.executable, "-c", PEAK, "extract", *map(str, words), "--quiet"]
    start = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "FEATSTORE_PEAK": str(peak)})
    return Cost(time.perf_counter() - start, int(peak.read_text()))


def _some(images: Path, folder: Path, number: int) -> Path:
    """Copies of so many of the images, in the same classes, spread over all of them."""
    files = sorted(images.glob("*/*/*"))
    for file in files[:: max(len(files) // number, 1)][:number]:
        target = folder / file.relative_to(images)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(file.read_bytes())
    return folder
