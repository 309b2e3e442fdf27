"""`featstore report` on 1,200 photos whose features are in the cache, and the size of its page."""

from __future__ import annotations

import time
from pathlib import Path

from timing import featstore

WEIGHTS = "mobilenet_7_5_224_tf_no_top.h5"


def measure_report(data: Path, scratch: Path) -> None:
    """Print the seconds of a report on cats_dogs, from images that were never audited and again, and of one on its run.

    A photo has a kilobyte or two on the page.
    """
    base = ("--model", "MobileNet", "--alpha", "0.75", "--weights", data / "weights" / WEIGHTS, "--size", "224")
    photos, cache = data / "images" / "cats_dogs", ("--cache", scratch / "cache")
    featstore("extract", photos, *base, *cache, cwd=scratch)()
    run = scratch / "runs" / "winner"
    for title, words in (
        ("first", (photos, *base, "--name", run.name)),
        ("again", (photos, *base, "--runs", "again")),
        ("without audit", (photos, *base, "--runs", "bare", "--no-audit")),
        ("on its run", (run,)),
    ):
        page = scratch / "report.html"
        start = time.perf_counter()
        featstore("report", *words, *cache, "--out", page, cwd=scratch)()
        print(f"  {title:14} {time.perf_counter() - start:5.1f} s, {page.stat().st_size / 1e6:.1f} MB", flush=True)
