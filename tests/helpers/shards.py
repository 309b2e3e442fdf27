"""A small shard as bytes, and the name that fits any bytes."""

from __future__ import annotations

import hashlib

import numpy as np

from featstore.store.shard import build_shard

IDS = [hashlib.sha256(bytes([n])).digest() + bytes(2) for n in range(3)]
ROWS = np.arange(12, dtype=np.float16).reshape(3, 4)
SPEC_JSON = "{}"
KEY = hashlib.sha256(SPEC_JSON.encode()).hexdigest()


def shard() -> bytes:

    return build_shard(KEY, SPEC_JSON, {"featstore": "test"}, IDS, ROWS)[1]


def named(data: bytes) -> str:
    """The name under which a stranger's shard passes the check of its digest."""
    return f"s-{hashlib.sha256(data).hexdigest()}.h5"
