"""Peak memory and time of `train-head` on synthetic rows in a cache: read block by block, and held in memory.

Each training is a process of its own, so that its memory is known. Rows have 1,024 numbers and ten classes that
overlap, and lie in the order of their classes, as an extraction of class folders leaves them. No image is read, since
all rows are in the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featstore.datasets.manifest import Manifest
    from featstore.extraction.recipe import Recipe

COUNTS = (20_000, 200_000)
WIDTH, CLASSES = 1_024, 10
EACH = 8_000  # rows in a shard, of 16 MB
SPLITS = ("train",) * 8 + ("val", "test")
SETTINGS = {  # the same strength for both; a few minutes for all
    "logistic-sgd": {"C": 0.01},
    "logistic": {"C": 0.01},
    "mlp": {"epochs": 3},
}
BLOCKS, ALL = 2**26, 2**40  # bytes of features that may be in memory
WAYS = (("logistic-sgd", BLOCKS), ("logistic-sgd", ALL), ("logistic", ALL), ("mlp", BLOCKS), ("mlp", ALL))
COMPARED = (
    ("logistic-sgd-blocks", "logistic-sgd"),
    ("logistic-sgd-blocks", "logistic"),
    ("mlp-blocks", "mlp"),
)


def measure_streaming(data: Path, scratch: Path, counts: Sequence[int] = COUNTS) -> None:
    """Print memory and time of each way at each size, and how far the accuracies are apart; `data` is not used."""
    for count in counts:
        _child("build", scratch / str(count), count)
    for head, memory in WAYS:
        where = "in blocks" if memory == BLOCKS else "in memory"
        print(f"  {head:12} {where}: ", end="", flush=True)
        for count in counts:
            found = _child("fit", scratch / str(count), count, head, memory)
            size = 4 * WIDTH * count / 1e6
            print(
                f"{count:9,} rows of {size:.0f} MB: peak {found['megabytes']:.0f} MB, fit {found['seconds']:.1f} s, "
                f"log loss {found['log_loss']:.4f};",
                end="",
                flush=True,
            )
        print()
    for one, other in COMPARED:
        print(f"  {one} against {other}: {_compare(scratch / str(counts[-1]), one, other)}")


def _child(job: str, *arguments: object) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, job, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{job} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _recipe() -> Recipe:
    from featstore.extraction.recipe import Recipe

    return Recipe(model="pixels", size="16")  # whose network takes no time to plan; the rows are others


def _manifest(count: int) -> Manifest:
    """Rows in the order of their classes; each tenth is for validation, and each tenth for testing."""
    from featstore.datasets.manifest import Manifest, Picture
    from featstore.system.files import FileStat

    return Manifest(
        "synthetic",
        tuple(
            Picture(
                path=f"{number}.png",
                stat=FileStat(10**9, 0, 0, number),
                label=f"class {number * CLASSES // count}",
                split=SPLITS[number % len(SPLITS)],
                known_digest=hashlib.sha256(str(number).encode()).hexdigest(),
            )
            for number in range(count)
        ),
    )


def _build(folder: Path, count: int) -> dict[str, Any]:
    import numpy as np

    from featstore.extraction.cache import Cache
    from featstore.extraction.plan import make_plan
    from featstore.store.rowid import row_ids

    cache = Cache(folder / "cache")
    pictures, random = _manifest(count).pictures, np.random.default_rng(0)
    centres, mixing = random.normal(size=(CLASSES, 64)) / 5, random.normal(size=(64, WIDTH)).astype(np.float32)
    with cache.store(make_plan(_recipe(), cache.digests).spec).writing() as writer:
        for start in range(0, count, EACH):
            some = pictures[start : start + EACH]
            classes = np.arange(start, start + len(some)) * CLASSES // count
            hidden = (centres[classes] + random.normal(size=(len(some), 64))).astype(np.float32)
            rows = np.maximum(hidden @ mixing + random.normal(size=(len(some), WIDTH)), 0)
            writer.append(row_ids(picture.digest for picture in some), rows.astype(np.float16))
    return {}


def _fit(folder: Path, count: int, head: str, memory: int) -> dict[str, Any]:
    import numpy as np

    from featstore.extraction.cache import Cache
    from featstore.extraction.plan import make_plan
    from featstore.heads.registry import entry_of
    from featstore.system.machine import peak_memory
    from featstore.training import job
    from featstore.training.fit import Prepared
    from featstore.training.head_recipe import HeadRecipe

    cache, manifest = Cache(folder / "cache"), _manifest(count)
    plan = make_plan(_recipe(), cache.digests)
    job.prepare = lambda *_, **__: Prepared(manifest, manifest, (), (plan,), cache)  # there are no files to look at
    fitted: list[Any] = []
    save = job._save
    job._save = lambda *given, **named: (fitted.append(given[3]), save(*given, **named))[1]
    recipe = HeadRecipe(head=head, parameters=SETTINGS[head], memory=memory if entry_of(head).streams else None)
    run = job.train(manifest, _recipe(), recipe, cache=cache, runs=folder / "runs").run
    name = f"{head}-blocks" if memory == BLOCKS else head
    np.save(folder / f"{name}.npy", fitted[0].probabilities["test"])
    return {
        "megabytes": (peak_memory() or 0) / 1e6,
        "seconds": run.seconds["fit"],
        "log_loss": run.metrics["test"].log_loss,
    }


def _compare(folder: Path, one: str, other: str) -> str:
    import numpy as np

    first, second = (np.load(folder / f"{name}.npy") for name in (one, other))
    count = int(folder.name)
    truth = np.array([n * CLASSES // count for n in range(count) if SPLITS[n % len(SPLITS)] == "test"])
    more = (first.argmax(axis=1) == truth).astype(float) - (second.argmax(axis=1) == truth)
    mean, error = 100 * more.mean(), 196 * more.std() / len(more) ** 0.5
    apart = np.abs(first - second)
    return (
        f"accuracy {mean:+.2f} points [{mean - error:.2f}, {mean + error:.2f}], "
        f"probabilities {apart.mean():.4f} apart on average, {apart.max():.3f} at most"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        print(json.dumps(_build(Path(sys.argv[2]), int(sys.argv[3]))))
    elif sys.argv[1:2] == ["fit"]:
        print(json.dumps(_fit(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))))
    else:
        import tempfile

        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--rows", type=int, nargs="+", default=COUNTS)
        with tempfile.TemporaryDirectory() as scratch:
            measure_streaming(Path(), Path(scratch), parser.parse_args().rows)
