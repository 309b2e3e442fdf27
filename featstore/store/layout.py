"""What the files in the folder of a key are called."""

from __future__ import annotations

import re

SPEC = "spec.json"
INDEX = "index"
USED = "used"
QUARANTINE = "quarantine"
CLAIMS = "claims"
SHARD_NAME = re.compile(r"s-[0-9a-f]{64}\.h5")
