"""Extraction from disk against the limit that computing and decoding set, and against the usual script.

The limit is work-conserving: the time of the engine for an image in memory, on all cores, and the time that a core
takes to decode one, shared over the cores. Photos are of cats and dogs; weights are random, which are as fast.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ceilings import decode, print_ceilings
from timing import in_turns
from usual_script import usual_script

BASES = {"MobileNetV2": 600, "EfficientNetB0": 600, "DenseNet121": 240, "ResNet50": 240, "VGG16": 96}  # and images
LIMIT = {"MobileNetV2": 0.90, "EfficientNetB0": 0.92, "DenseNet121": 0.95, "ResNet50": 0.95, "VGG16": 0.97}
SCRIPT = {
    "float32": {"MobileNetV2": 1.5, "EfficientNetB0": 1.4, "ResNet50": 1.15, "DenseNet121": 1.05, "VGG16": 1.0},
    "bfloat16": {"MobileNetV2": 2.5, "EfficientNetB0": 2.3, "ResNet50": 2.2, "DenseNet121": 1.5, "VGG16": 1.6},
}


def measure_extraction(data: Path, scratch: Path, rounds: int = 3) -> None:
    print_ceilings()
    names = os.environ.get("FEATSTORE_BENCHMARK_BASES", ",".join(BASES)).split(",")
    for name in names:
        photos = _some(data / "images" / "cats_dogs", scratch / "photos" / name, BASES[name])
        _measure_base(name, photos, scratch / name, rounds)


def _some(source: Path, target: Path, count: int) -> Path:
    """The first images of each folder of `source`, `count` in all, copied."""
    folders = sorted(path for path in source.glob("*/*") if path.is_dir())
    for folder in folders:
        (target / folder.relative_to(source)).mkdir(parents=True)
    taken = itertools.islice(itertools.chain(*zip(*[_images(folder) for folder in folders], strict=False)), count)
    for image in taken:
        shutil.copy(image, target / image.relative_to(source))
    return target


def _images(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())[:200]


def _measure_base(name: str, photos: Path, scratch: Path, rounds: int) -> None:
    from featstore import Recipe, scan
    from featstore.extraction.cache import Cache
    from featstore.extraction.encoder import load_encoder
    from featstore.extraction.resolve import resolve_recipe
    from featstore.images.readers import make_reader

    paths = [picture.path for picture in scan(photos).pictures]
    count, cores = len(paths), len(os.sched_getaffinity(0))
    ways: dict[str, Callable[[], object]] = {"script": usual_script(name, photos)}
    engines: dict[str, Any] = {}
    for precision in ("float32", "bfloat16"):
        recipe = Recipe(model=name, weights="random", precision=precision)
        warm = scratch / precision
        memory = Cache(warm).digests
        spec = resolve_recipe(recipe, memory)
        memory.save()
        engines[precision] = load_encoder(recipe.source(), [spec], 10**6, folder=warm)  # chooses one, and remembers it
        ways[precision] = _ours(photos, recipe, warm, scratch / "cache")
    read = make_reader(spec.reading)
    few = min(count, 96)
    pixels = [read(Path(path).read_bytes()) for path in paths[:few]]
    for precision, engine in engines.items():
        ways[f"{precision} in memory"] = _from_memory(engine, pixels)
    ways["decoding"] = lambda: decode(paths[:few], read)
    for way in ways.values():
        way()
    seconds = in_turns(ways, rounds)
    decoding = seconds["decoding"] / few
    for precision, engine in engines.items():
        in_memory = seconds[f"{precision} in memory"] / few
        limit = in_memory + decoding / cores
        ours, script = seconds[precision] / count, seconds["script"] / count
        print(
            f"  {name:15} {precision:9} {engine.engine:20} in memory {1 / in_memory:6.1f} images/s, decoding "
            f"{decoding * 1e3:.2f} ms of a core, limit {1 / limit:6.1f}, from disk {1 / ours:6.1f}, script "
            f"{1 / script:6.1f}"
        )
        print(
            f"  {name:15} {precision:9} of the limit {limit / ours:.2f} (bar {LIMIT[name]}), against the script "
            f"{script / ours:.2f} (bar {SCRIPT[precision][name]})",
            flush=True,
        )


def _ours(photos: Path, recipe: Any, warm: Path, cache: Path) -> Callable[[], object]:
    """A way that extracts into a new cache, which knows the digest of the weights and the choice of engine."""
    from featstore.extraction.pipeline import extract_features

    def run() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(warm, cache)  # no rows, and no digests of images
        extract_features(photos, [recipe], cache)

    return run


def _from_memory(network: Any, pixels: list[Any]) -> Callable[[], object]:
    """A way that calls a network as extraction does, on batches that are ready."""
    import numpy as np

    batches = [np.stack(pixels[i : i + network.batch]) for i in range(0, len(pixels), network.batch)]
    threads = ThreadPoolExecutor(network.calls)
    return lambda: list(threads.map(network, batches))
