"""Names of the files in the folder of a key, and the size of a shard."""

from __future__ import annotations

import hashlib
import re

SPEC = "spec.json"
INDEX = "index"
USED = "used"
QUARANTINE = "quarantine"
CLAIMS = "claims"
INDEX_NAME = re.compile(rf"{INDEX}(-[1-9][0-9]{{0,3}})?")  # and of its parts, on a disk
INDEX_PART = re.compile(rf"{INDEX}-[0-9a-f]{{16}}")  # on object storage
SHARD_NAME = re.compile(r"s-[0-9a-f]{64}\.h5")
SHARD_BYTES = 16 * 2**20  # of rows; 8 to 32 MB is the best range: 25 ms to write safely, and little work at risk


def shard_name(data: bytes) -> str:
    """Return the name of the shard that has these bytes."""
    return f"s-{hashlib.sha256(data).hexdigest()}.h5"
