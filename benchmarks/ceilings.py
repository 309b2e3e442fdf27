"""What the hardware can do: large matrix products, copying memory, and decoding alone, measured beside the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path


def print_ceilings(seconds: float = 1.0) -> None:
    """Products of 2,048 x 2,048 matrices in float32 and bfloat16 by TensorFlow, and a copy of 256 MB."""
    import numpy as np
    import tensorflow as tf

    side = 2048
    factor = tf.random.stateless_normal((side, side), (0, 0))
    for dtype in (tf.float32, tf.bfloat16):
        product = tf.function(tf.linalg.matmul, autograph=False)
        cast = tf.cast(factor, dtype)
        rate = _per_second(lambda product=product, cast=cast: product(cast, cast)[0, 0].numpy(), seconds)  # which waits
        print(f"  ceiling: matrix product, {dtype.name:9} {rate * 2 * side**3 / 1e9:8.0f} GFLOP/s")
    block = np.ones(2**28, np.uint8)
    rate = _per_second(block.copy, seconds)
    print(f"  ceiling: copy of memory            {rate * 2**28 / 1e9:8.1f} GB/s", flush=True)


def decode(paths: Sequence[str], read: Callable[[bytes], object]) -> None:
    """Open, hash, decode and resize images, on one core."""
    from featstore.images.identity import content_digest

    for path in paths:
        raw = Path(path).read_bytes()
        content_digest(raw)
        read(raw)


def _per_second(work: Callable[[], object], seconds: float) -> float:
    """How often `work` is done in a second."""
    work()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        count += 1
    return count / (time.perf_counter() - start)
