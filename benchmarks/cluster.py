"""Two workers on Ray against two plain processes that share a cache: images per second, without start-up and with it.

Without it, the time counts from the first image that is done to the last one: both ways load TensorFlow first, and Ray
starts before that. The machine may be busy, so both ways have as many threads: each process keeps to half of the cores,
as a worker does, and Ray's workers have the same priority; by default they are nice.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

PHOTOS = 600
PART = """
import json, os, sys, time
photos, cache, *part = sys.argv[1:]
if part != ["ray"]:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[int(part[0])::2])
from featstore import extract
from featstore.system.progress import Silent

class Times(Silent):
    first = last = None
    def advance(self, computed):
        if computed:
            self.last = time.time()
            self.first = self.first or self.last

times, options = Times(), {"ray": True, "workers": 2} if part == ["ray"] else {}
done = extract(photos, model="MobileNetV2", weights="random", cache=cache, progress=times, **options)
print(json.dumps([times.first, times.last, len(done.manifest)]))
"""


def measure_cluster(data: Path, scratch: Path, rounds: int = 3) -> None:
    photos = scratch / "photos"
    for path in sorted((data / "images" / "cats_dogs" / "train").glob("*/*.jpg"))[:PHOTOS]:
        target = photos / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    steady: dict[str, list[float]] = {"plain": [], "ray": []}
    whole: dict[str, list[float]] = {"plain": [], "ray": []}
    for _ in range(rounds):
        for way, parts in (("plain", ["0", "1"]), ("ray", ["ray"])):
            seconds, images, all_of_it = _extract(photos, scratch / "cache", parts)
            steady[way].append(images / seconds)
            whole[way].append(images / all_of_it)
    for name, rates in (("without start-up", steady), ("with start-up", whole)):
        plain, ray = (statistics.median(rates[way]) for way in ("plain", "ray"))
        bar = " (bar 0.9)" if rates is steady else ""
        print(
            f"  {name:17} two processes {plain:.1f} images/s, two workers {ray:.1f}: {ray / plain:.2f}{bar}", flush=True
        )


def _extract(photos: Path, cache: Path, parts: list[str]) -> tuple[float, int, float]:
    """Return the seconds from the first image to the last, the number of images, and the seconds with start-up."""
    shutil.rmtree(cache, ignore_errors=True)
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "FEATSTORE_ENGINE": "tensorflow",
        "RAY_worker_niceness": "0",
    }
    start = time.perf_counter()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PART, str(photos), str(cache), part], stdout=subprocess.PIPE, env=environment
        )
        for part in parts
    ]
    told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    whole = time.perf_counter() - start
    first, last = min(each[0] for each in told), max(each[1] for each in told)
    return last - first, told[0][2], whole
