"""A key of 10,000, of 100,000 and of 1,000,000 rows: what is done with it, and random batches against numpy.memmap.

Rows are of width 256 in float16, in shards of 16 MB, and files are in the page cache. Each job is a process of its own,
so that its memory is known; what it needs anyway (Python, numpy, h5py) is taken off.
"""

from __future__ import annotations

import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.features.stored_array import StoredArray

COUNTS = (10_000, 100_000, 1_000_000)
WIDTH = (256,)
MAPS = (7, 7, 512)
SHARD_BYTES = 2**24
BATCH = 128
MOST_BATCHES = 500
IDS, FLAT = "ids", "flat"  # files beside the cache: the ids, and the rows without anything else


def measure_scale(data: Path, scratch: Path, rounds: int = 5) -> None:
    for count in COUNTS:
        _child("build", scratch / str(count), count, *WIDTH)
    bare = _child("bare", scratch)["megabytes"]
    print(f"  {'':27}" + "".join(f"{count:>12,}" for count in COUNTS) + "   growth of time    MB over the imports")
    for job in JOBS:
        seconds, megabytes = [], []
        for count in COUNTS:
            runs = [_child(job, scratch / str(count)) for _ in range(rounds)]
            seconds.append(statistics.median(run["seconds"] for run in runs))
            megabytes.append(statistics.median(run["megabytes"] for run in runs) - bare)
        times = "".join(f"{value * 1000:9.1f} ms" for value in seconds)
        growth = ", ".join(f"x{after / before:.1f}" for before, after in pairwise(seconds))
        print(f"  {job:27}{times}   {growth:15}   {', '.join(f'{value:.0f}' for value in megabytes)}", flush=True)
    _child("build", scratch / "maps", 10_000, *MAPS)
    for name, shape in ((str(COUNTS[-1]), WIDTH), ("maps", MAPS)):
        found = _child("batches", scratch / name, rounds, *shape)
        print(f"  batches of {BATCH} rows {'x'.join(map(str, shape))}, speed against numpy.memmap: ", end="")
        print(", ".join(f"{way} {ratio:.2f}" for way, ratio in found["ratios"].items()), flush=True)


def _child(job: str, *arguments: object) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, job, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{job} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def _build(folder: Path, count: int, *shape: int) -> None:
    """A key with `count` rows, and beside it their ids and the rows themselves."""
    import hashlib

    import numpy as np

    from featstore.store.rowid import row_id
    from featstore.store.rowstore import RowStore

    spec = json.dumps({"made": "for a benchmark"}, separators=(",", ":"))
    key = hashlib.sha256(spec.encode()).hexdigest()
    store = RowStore(folder / "cache" / "none" / f"rows-{key[:12]}", key, spec, dict)
    random = np.random.default_rng(0)
    each = SHARD_BYTES // (2 * math.prod(shape))
    folder.mkdir()
    with (folder / FLAT).open("wb") as flat, (folder / IDS).open("wb") as names, store.writing() as writer:
        for start in range(0, count, each):
            numbers = range(start, min(count, start + each))
            rows = random.integers(0, 1000, (len(numbers), *shape)).astype(np.float16)
            ids = [row_id(hashlib.sha256(str(number).encode()).hexdigest()) for number in numbers]
            writer.append(ids, rows)
            flat.write(rows.tobytes())
            names.write(b"".join(ids))


def _key(folder: Path) -> Path:
    [key] = (folder / "cache").glob("*/*")
    return key


def _ids(folder: Path) -> NDArray[np.void]:
    import numpy as np

    return np.memmap(folder / IDS, "V34", "r")


def _open_with_index(folder: Path) -> Callable[[], object]:
    from featstore.store.reader import RowReader

    key = _key(folder)
    return lambda: RowReader.open(key)


def _open_without_index(folder: Path) -> Callable[[], object]:
    from featstore.store.reader import RowReader

    key = _key(folder)

    def job() -> None:
        (key / "index").rename(folder / "index")
        try:
            RowReader.open(key)
        finally:
            (folder / "index").rename(key / "index")

    return job


def _membership(folder: Path) -> Callable[[], object]:
    """Every other one is not there."""
    from featstore.store.reader import RowReader

    store, ids = RowReader.open(_key(folder)), _ids(folder)
    asked = [row.tobytes() for row in ids[:: len(ids) // 500][:500]]
    asked += [row[::-1] for row in asked]
    return lambda: [row in store for row in asked]


def _add_rows(folder: Path) -> Callable[[], object]:
    """1,000 new rows as one shard, with the index."""
    import os

    import numpy as np

    from featstore.store.rowstore import RowStore

    spec = json.dumps({"made": "for a benchmark"}, separators=(",", ":"))
    key = _key(folder)
    store = RowStore(key, json.loads((key / "spec.json").read_text())["key"], spec, dict)
    ids = [os.urandom(32) + bytes(2) for _ in range(1000)]

    def job() -> None:
        with store.writing() as writer:
            writer.append(ids, np.ones((len(ids), *WIDTH), np.float16))

    return job


def _list_shards(folder: Path) -> Callable[[], object]:
    from featstore.store.listing import list_shards

    key = _key(folder)
    return lambda: list_shards(key)


def _list(folder: Path) -> Callable[[], object]:
    from featstore.store.keys import describe_key, key_folders

    return lambda: [describe_key(key) for key in key_folders(folder / "cache")]


def _verify(folder: Path) -> Callable[[], object]:
    from featstore.store.verify import verify_key

    key = _key(folder)
    return lambda: verify_key(key, 0.1)


def _load_some(folder: Path) -> Callable[[], object]:
    import numpy as np

    from featstore.store.reader import RowReader

    ids = _ids(folder)
    some = [row.tobytes() for row in ids[np.random.default_rng(0).permutation(len(ids))[:10_000]]]
    return lambda: RowReader.open(_key(folder)).read(some)


def _load_in_blocks(folder: Path) -> Callable[[], object]:
    import numpy as np

    rows = _rows(folder)
    return lambda: [block.view(np.int16).max() for block in rows.blocks(SHARD_BYTES)]


def _rows(folder: Path) -> StoredArray:
    import numpy as np

    from featstore.features.stored_array import StoredArray
    from featstore.store.reader import RowReader

    return StoredArray(RowReader.open(_key(folder)), np.fromfile(folder / IDS, "V34"))


JOBS = {
    "open with the index": _open_with_index,
    "open without the index": _open_without_index,
    "membership of 1,000 ids": _membership,
    "add 1,000 rows": _add_rows,
    "list the shards": _list_shards,
    "list the keys": _list,
    "verify 10 % of the shards": _verify,
    "open, load 10,000 anywhere": _load_some,
    "look at all, in blocks": _load_in_blocks,
}


def _batches(folder: Path, rounds: int, *shape: int) -> dict[str, float]:
    """Batches a second over those of a memory map of one file, in an epoch's random order: median of the rounds."""
    import numpy as np

    rows = _rows(folder)
    flat = np.memmap(folder / FLAT, np.float16, "r").reshape(-1, *shape)
    assert np.array_equal(rows[:BATCH], flat[:BATCH])
    random = np.random.default_rng(0)

    def chosen(array: Any) -> Iterator[object]:
        order = random.permutation(len(rows))
        return (array[order[start : start + BATCH]] for start in range(0, len(order), BATCH))

    ways: dict[str, Callable[[], Iterator[object]]] = {
        "X.batches": lambda: rows.batches(BATCH, seed=int(random.integers(2**32))),
        "X[numbers]": lambda: chosen(rows),
        "memmap": lambda: chosen(flat),
    }
    speeds: list[dict[str, float]] = []
    for _ in range(rounds + 1):
        speeds.append({name: _speed(way(), name != "X.batches") for name, way in ways.items()})
    return {
        name: statistics.median(speed[name] / speed["memmap"] for speed in speeds[1:])  # the first maps the files
        for name in ways
        if name != "memmap"
    }


def _speed(batches: Iterator[object], some: bool) -> float:
    """Batches a second, of the first ones only where all cost the same."""
    start = time.perf_counter()
    for count, _ in enumerate(batches, 1):
        if some and count == MOST_BATCHES:
            break
    return count / (time.perf_counter() - start)


def _main(job: str, folder: Path, *numbers: int) -> None:
    found: dict[str, object] = {}
    if job == "build":
        _build(folder, *numbers)
    elif job == "batches":
        found["ratios"] = _batches(folder, *numbers)
    else:
        if job != "bare":
            work = JOBS[job](folder)
            start = time.perf_counter()
            work()
            found["seconds"] = time.perf_counter() - start
    found["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
