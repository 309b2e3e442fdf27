"""Two workers on Ray against two plain processes that share a cache: images per second, without start-up and with it.

Without it, the time counts from when a third of the images are done: by then both ways have loaded TensorFlow, and Ray
has started before that. The machine may be busy, so both ways have as many threads: each process keeps to half of the
cores, as a worker does, and Ray's workers have the same priority; by default they are nice.
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
    def __init__(self):
        self.all = []
    def advance(self, computed):
        if computed:
            self.all.append(time.time())

times, options = Times(), {"ray": True, "workers": 2} if part == ["ray"] else {}
done = extract(photos, model="MobileNetV2", weights="random", cache=cache, progress=times, **options)
print(json.dumps([times.all, len(done.manifest)]))
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
            rates = _extract(photos, scratch / "cache", parts)
            steady[way].append(rates[0])
            whole[way].append(rates[1])
    for name, both in (("without start-up", steady), ("with start-up", whole)):
        plain, ray = (statistics.median(both[way]) for way in ("plain", "ray"))
        bar = " (bar 0.9)" if both is steady else ""
        print(
            f"  {name:17} two processes {plain:.1f} images/s, two workers {ray:.1f}: {ray / plain:.2f}{bar}", flush=True
        )


def _extract(photos: Path, cache: Path, parts: list[str]) -> tuple[float, float]:
    """Return the images per second after the first third, and those of the whole time."""
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
    done = sorted(moment for moments, _ in told for moment in moments)
    third = len(done) // 3
    return (len(done) - third) / (done[-1] - done[third]), told[0][1] / whole
