"""Extraction of 100,000 files through a fake network: rows a second, and memory at 10 % and at the end.

The files hold a few bytes each and are not decoded, so all time goes into what featstore does for an image besides:
listing, reading, digests, claims, shards, the index. One process alone, and two that share the cache.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featstore.extraction.passes import Pass

FILES = 100_000
EACH = 1_000  # files in a folder
WIDTH = 1280


def measure_many(data: Path, scratch: Path) -> None:
    photos = _make_files(scratch / "photos")
    for processes in (1, 2):
        start = time.perf_counter()
        command = [sys.executable, __file__, str(photos), str(scratch / f"cache-{processes}")]
        children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        found = [json.loads(child.communicate()[0]) for child in children]
        if any(child.returncode for child in children):
            sys.exit(f"{' '.join(command)} failed")
        seconds = time.perf_counter() - start
        print(f"  {processes} process(es): {FILES / seconds:,.0f} rows/s; computed ", end="")
        print(" + ".join(f"{each['computed']:,}" for each in found))
        for each in found:
            first, last = each["megabytes"]
            print(f"    memory at 10 %: {first:.0f} MB, at 100 %: {last:.0f} MB, ratio {last / first:.2f}, ", end="")
            print(f"{(last - first) * 2**20 / (0.9 * FILES):.0f} bytes an image", flush=True)


def _make_files(folder: Path) -> Path:
    for number in range(FILES):
        if number % EACH == 0:
            (folder / f"class-{number // EACH:03d}").mkdir(parents=True)
        (folder / f"class-{number // EACH:03d}" / f"image-{number:06d}.jpg").write_bytes(b"no image, %d" % number)
    time.sleep(3)  # files younger than two seconds are not remembered
    return folder


class _Meter:
    """Progress that notes the memory of this process at 10 % and at the end of the images."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0
        self.megabytes: list[float] = []

    def start(self, total: int, reused: int) -> None: ...

    def advance(self, computed: bool) -> None:
        self.done += 1
        if self.done in (self.count // 10, self.count):
            self.megabytes.append(_resident())

    def wait(self, images: int) -> None: ...

    def hold(self) -> None: ...

    def tell(self, text: str) -> None: ...

    def steps(self, title: str, unit: str = "steps") -> Any:
        return lambda done, total: None


def _resident() -> float:
    """Memory of this process now, in MB: the peak would also hold what was given back."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


class _Network:
    """A network that makes rows of the bytes of a digest, as fast as possible."""

    engine, batch, calls = "fake", 32, 1

    def __call__(self, images: Any) -> tuple[Any, ...]:
        import numpy as np

        return (np.repeat(images.reshape(len(images), -1).astype(np.float32), WIDTH // 16, axis=1),)


def _pass(cache: Path) -> Pass:
    import hashlib

    from featstore.extraction.passes import Pass
    from featstore.extraction.writer import Task
    from featstore.store.rowstore import RowStore

    spec = json.dumps({"made": "for a benchmark"}, separators=(",", ":"))
    key = hashlib.sha256(spec.encode()).hexdigest()
    return Pass([Task(RowStore(cache / "none" / f"rows-{key[:12]}", key, spec, dict))], lambda images: _Network())


def _read(raw: bytes) -> dict[Any, Any]:
    import hashlib

    import numpy as np

    return {None: np.frombuffer(hashlib.sha256(raw).digest()[:16], np.uint8).reshape(1, 4, 4, 1)}


def _main(photos: Path, cache: Path) -> None:
    from featstore import scan
    from featstore.datasets.digests import DigestMemory
    from featstore.extraction.job import run

    manifest = scan(photos)
    meter = _Meter(len(manifest))
    outcome = run(manifest, [_pass(cache)], lambda views: _read, DigestMemory(cache / "digests"), meter)
    assert len(outcome.manifest) == FILES
    print(json.dumps({"computed": outcome.computed[0], "megabytes": meter.megabytes}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
