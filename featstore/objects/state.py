"""The state of an object, as the four numbers that a file's state has, so that all that remembers files remembers it.

An object cannot change in place: it is replaced, and gets another ETag. The ETag and the size say which content it is.
A LIST and a HEAD of the same object must give the same state, so what only one of them tells, such as a version, or
tells more exactly, such as fractions of seconds, is left out.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from featstore.system.files import FileStat

SETTLED = -(2**62)  # the grain of its stamps: an object's state says at once whether its content is another


def object_state(size: int, changed: datetime, etag: str | None) -> FileStat:
    """Return the state of an object. The ETag takes the place of the inode; 0 where the server tells none."""
    stamp = int(changed.timestamp()) * 10**9
    tag = (etag or "").removeprefix("W/").strip('"')
    mark = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:7]) if tag else 0
    return FileStat(size, stamp, stamp, mark)
