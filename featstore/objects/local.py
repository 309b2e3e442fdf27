"""Where this machine keeps what belongs to a cache on object storage: copies of its shards, and memories of files.

Everything there is derived from the bucket and can be removed at any time.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from featstore.objects.urls import Url

_DIGITS = 16  # of the digest of a URL: names of folders stay short, whatever the URL


def local_folder(cache: Url) -> Path:
    """Return the folder of this machine for a cache; it need not exist.

    It lies in $FEATSTORE_LOCAL, else in $XDG_CACHE_HOME/featstore, else in ~/.cache/featstore.
    """
    return local_root() / hashlib.sha256(str(cache).encode()).hexdigest()[:_DIGITS]


def local_root() -> Path:
    """Return the folder of this machine for all caches on object storage."""
    if chosen := os.environ.get("FEATSTORE_LOCAL"):
        return Path(os.path.abspath(chosen))
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "featstore"
