"""A plan on paper for a large data set: bytes, requests, prices and hours, from the figures of docs/scale.md.

python benchmarks/plan.py --images 1e9 --width 1280 --rate 1000 --gpus 64
"""

from __future__ import annotations

import argparse
import math

SHARD_BYTES, SHARD_SECONDS = 16 * 2**20, 10  # of float32: a shard is closed then, or so long after the one before
INDEX_ROW, INDEX_SHARD = 42.5, 240  # bytes: a record and its share of the table of offsets; an entry
DIGEST_ENTRY = 153  # bytes of JSON for a file
PICTURE_MEMORY = 750  # bytes: path, state, label and digest
DIGEST_MEMORY = 560  # bytes: an entry that was loaded
PAGE = 1000  # names in an answer to a LIST
PUT, GET, STORED = 0.005 / 1000, 0.0004 / 1000, 0.023  # dollars, assumed: PUT or LIST, GET, GB and month


def plan(images: float, width: int, rate: float, gpus: int, image_bytes: float) -> dict[str, str]:
    """Return a line for each figure. rate: images a second that one GPU computes."""
    row = 2 * width
    rows_a_shard = max(1.0, min(SHARD_BYTES // (4 * width), SHARD_SECONDS * rate))
    shards = images / rows_a_shard
    requests = 3 * shards * PUT + (shards + images) / PAGE * PUT + images * GET
    seconds = images / rate / gpus
    return {
        "features, GB": f"{images * row / 1e9:,.1f}",
        "shards": f"{shards:,.0f}",
        "index, GB": f"{(images * INDEX_ROW + shards * INDEX_SHARD) / 1e9:,.2f}",
        "digests on disk, GB": f"{images * DIGEST_ENTRY / 1e9:,.2f}",
        "pictures and digests in memory, GB": f"{images * (PICTURE_MEMORY + DIGEST_MEMORY) / 1e9:,.2f}",
        "pages of LIST, images / shards": f"{math.ceil(images / PAGE):,} / {math.ceil(shards / PAGE):,}",
        "requests, dollars": f"{requests:,.2f}",
        "features for a month, dollars": f"{images * row / 1e9 * STORED:,.2f}",
        "hours, all GPUs": f"{seconds / 3600:,.1f}",
        "cores that decode (1.6 ms a photo)": f"{rate * gpus * 0.0016:,.1f}",
        "network, GB/s": f"{rate * gpus * image_bytes / 1e9:,.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=float, nargs="*", default=[1e6, 1e7, 1e8, 1e9])
    parser.add_argument("--width", type=int, default=1280, help="numbers in a row; 25088 for maps of 7x7x512")
    parser.add_argument("--rate", type=float, required=True, help="images a second of one GPU: measure it")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--image-bytes", type=float, default=100_000)
    options = parser.parse_args()
    plans = [plan(n, options.width, options.rate, options.gpus, options.image_bytes) for n in options.images]
    print(f"{'images':36}" + "".join(f"{n:>24,.0f}" for n in options.images))
    for name in plans[0]:
        print(f"{name:36}" + "".join(f"{each[name]:>24}" for each in plans))


if __name__ == "__main__":
    main()
