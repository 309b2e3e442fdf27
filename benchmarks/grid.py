"""`compare` in one process against its cells as commands of their own, and what ten views of an image cost."""

from __future__ import annotations

import shutil
from pathlib import Path

from timing import featstore, in_turns

VARIANTS = ("keras", "rescale", "raw")


def measure_grid(data: Path, scratch: Path, rounds: int = 3) -> None:
    from featstore import extract

    images, weights = data / "images" / "cats_dogs", str(data / "weights" / "mobilenet_7_5_224_tf_no_top.h5")
    base = {"model": "MobileNet", "alpha": 0.75, "weights": weights}
    extract(images, preprocess=VARIANTS, cache=scratch / "cache", **base)
    flags = [part for key, value in base.items() for part in (f"--{key}", value)]
    variants = [part for variant in VARIANTS for part in ("--preprocess", variant)]
    for heads in (("logistic",), ("logistic", "bn-dropout")):
        chosen = [part for head in heads for part in ("--head", head)]
        cells = [
            featstore("train-head", images, *flags, "--preprocess", variant, "--head", head, cwd=scratch)
            for variant in VARIANTS
            for head in heads
        ]
        ways = {
            "compare": featstore("compare", images, *flags, *variants, *chosen, cwd=scratch),
            "one by one": lambda cells=cells: [cell() for cell in cells],
        }
        seconds = in_turns(ways, rounds)
        print(
            f"  {' + '.join(heads):22} {len(cells)} cells: compare {seconds['compare']:.1f} s, one by one "
            f"{seconds['one by one']:.1f} s, ratio {seconds['compare'] / seconds['one by one']:.2f}",
            flush=True,
        )

    def extract_views(folder: Path, views: str) -> None:
        shutil.rmtree(scratch / views, ignore_errors=True)
        shutil.copytree(scratch / "cache" / "digests", scratch / views / "digests")  # of the weights
        extract(folder, views=views, resize=256, cache=scratch / views, **base)

    extract_views(images / "val", "one")  # the network is in memory from here on
    seconds = in_turns(
        {"one": lambda: extract_views(images, "one"), "ten": lambda: extract_views(images / "val", "ten")}, rounds
    )
    one, ten = 1200 / seconds["one"], 2000 / seconds["ten"]
    print(f"  rows per second: one view {one:.1f}, ten views {ten:.1f}, ratio {ten / one:.2f}")
